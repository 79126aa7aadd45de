"""The result as one HTML page without scripts or anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from fastness.tool.contract.changes import Change
from fastness.tool.contract.compare import Result
from fastness.tool.contract.reports.text import HEADINGS, plain, summary

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
section { border-left: 4px solid #8c959f; padding: .25rem 1rem; margin: 1rem 0; }
section.breaking { border-color: #cf222e; } section.warning { border-color: #bf8700; } section.accepted { opacity: .7; }
pre { background: #f6f8fa; padding: .75rem; overflow-x: auto; } code { font-size: .9em; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } pre { background: #161b22; } }
"""


def render(result: Result) -> str:
    """A page to keep as an artefact of a build."""
    title = f"API changes: {result.labels[0]} to {result.labels[1]}"
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>',
            f"<h1>{escape(title)}</h1>",
            f"<p><strong>{escape(summary(result))}</strong></p>",
            *_levels(result),
            "</body></html>\n",
        ]
    )


def _levels(result: Result) -> Iterator[str]:
    for level, heading in HEADINGS.items():
        found = [change for change in result.changes if change.level is level]
        if found:
            yield f"<h2>{heading} ({len(found)})</h2>"
            yield from map(_change, found)


def _change(change: Change) -> str:
    kind = f"{change.level.value} accepted" if change.accepted else change.level.value
    places = " and ".join(f"<code>{escape(plain(place))}</code>" for place in dict.fromkeys(change.places) if place)
    lines = [
        f'<section class="{kind}"><h3>{escape(plain(change.operation) or "The API")}</h3>',
        f"<p>{escape(plain(change.message))}</p>",
        f"<p><code>{escape(change.id)}</code>{' at ' + places if places else ''}</p>",
    ]
    if change.accepted:
        lines.append(f"<p>Accepted: {escape(change.accepted)}</p>")
    elif change.counterexample is not None:
        shown = json.dumps(change.counterexample, indent=2, ensure_ascii=False, default=str)
        lines.append(f"<pre>{escape(shown)}</pre>")
    return "\n".join([*lines, "</section>"])
