"""The service map as part of an HTML page: a picture of the whole, and what can be opened for each module of entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import TextIO

from fastness.tool.servicemap import svg
from fastness.tool.servicemap.graph import printable
from fastness.tool.servicemap.model import Entry, ServiceMap
from fastness.tool.servicemap.text import summary

_GAPS = 50
STYLE = (
    svg.STYLE
    + """
.wide { overflow-x: auto; width: min(96vw, 100rem); margin: 1rem 0 1rem 50%; transform: translateX(-50%); padding: 0 .5rem; }
.wide .map { margin: 0 auto; } details { border-top: 1px solid var(--line); } details[open] { padding-bottom: 1rem; }
summary { cursor: pointer; padding: .35rem 0; } summary .soft { margin-left: .5rem; }
table.entries td { width: auto; color: var(--fore); overflow-wrap: anywhere; } table.entries { font-size: .9rem; }
"""
)
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
{theme}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 2rem 1rem 6rem;
 background: var(--back); color: var(--fore); }} h1 {{ font-size: 1.5rem; }} .soft {{ color: var(--soft); font-size: .9rem; }}
table {{ border-collapse: collapse; width: 100%; }} td, th {{ text-align: left; padding: .25rem .5rem; vertical-align: top; }}
tr {{ border-bottom: 1px solid var(--line); }} code {{ font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }}
{style}</style></head><body>
"""


def write(drawn: ServiceMap, out: TextIO) -> None:
    """Write a page of its own. It holds no scripts and loads nothing."""
    title = escape(printable(summary(drawn)))
    out.write(_HEAD.format(title=title, theme=svg.THEME, style=STYLE))
    out.write(f"<h1>{title}</h1>\n")
    out.writelines(section(drawn))
    out.write("</body></html>\n")


def section(drawn: ServiceMap) -> Iterator[str]:
    """The map without head and title: for a page that has `STYLE` and the colours of `svg`."""
    if not drawn.entries:
        yield '<p class="soft">No path operations are found in the sources.</p>\n'
        return
    small = svg.is_small(drawn.entries)
    yield '<p class="soft">From the sources alone: endpoints, the classes and modules that they pass through, and what they'
    yield " reach outside of the process. Point at a box to bring out its ways.</p>\n"
    yield f'<div class="wide">{svg.whole(drawn) if small else svg.overview(drawn)}</div>\n'
    for number, (name, entries) in enumerate(svg.merged(drawn).items(), 1):
        yield from _module(drawn, name, entries, 0 if small else number)
    yield from _gaps(drawn)


def _module(drawn: ServiceMap, name: str, entries: Sequence[Entry], number: int) -> Iterator[str]:
    resources = ", ".join(str(one) for one in sorted({r for entry in entries for r in entry.resources}))
    many = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    reached = f", reaching {_safe(resources)}" if resources else ""
    shared = svg.prefix(entries)
    known = f"<strong>{_safe(shared)}</strong> " if shared else ""
    yield f'<details><summary>{known}<code>{_safe(name)}</code><span class="soft">{many}{reached}</span></summary>\n'
    if number:
        part = replace(drawn, entries=entries)
        yield f'<div class="wide">{svg.whole(part, number=number, headings=len(part.groups) > 1)}</div>\n'
    yield '<table class="entries"><tr><th>Entry</th><th>Function</th><th>Reaches</th><th>Tables</th></tr>\n'
    for entry in entries:
        also = "".join(f"<br>{_safe(path)}" for path in entry.paths[1:])
        where = f'{_safe(entry.function)}<br><span class="soft">{_safe(str(entry.place))}</span>'
        reached = "<br>".join(_safe(str(resource)) for resource in entry.resources)
        cells = (f"<strong>{_safe(entry.title)}</strong>{also}", where, reached, _safe(", ".join(entry.tables)))
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
    yield "</table></details>\n"


def _gaps(drawn: ServiceMap) -> Iterator[str]:
    if not drawn.gaps:
        return
    yield f"<details><summary>Not followed: {len(drawn.gaps)}"
    yield '<span class="soft">what lies behind these is not in the map</span></summary>\n<ul class="soft">\n'
    for gap in drawn.gaps[:_GAPS]:
        times = f" ({gap.count} times)" if gap.count > 1 else ""
        yield f"<li>{_safe(gap.what)}{times}, <code>{_safe(str(gap.place))}</code></li>\n"
    if len(drawn.gaps) > _GAPS:
        yield f"<li>and {len(drawn.gaps) - _GAPS} more: <code>fastness map --format json</code> lists them</li>\n"
    yield "</ul></details>\n"


def _safe(text: str) -> str:
    return escape(printable(text))
