"""The result for a pull request, and the changelog for people who use the API."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fastness.tool.contract.changes import Change
from fastness.tool.contract.compare import Result
from fastness.tool.contract.reports.text import HEADINGS, summary


def render(result: Result) -> str:
    """Every change with its counterexample."""
    lines = [f"# API changes: {escaped(summary(result))}", ""]
    for level, heading in HEADINGS.items():
        found = [change for change in result.changes if change.level is level]
        if found:
            lines += [f"## {heading}", "", *_details(found)]
    return "\n".join(lines).rstrip() + "\n"


def changelog(result: Result) -> str:
    """What clients have to know, by operation: no ids, no examples."""
    version = result.versions[1] or "next version"
    lines = [f"# {escaped(version)}", ""]
    if not result.changes:
        lines += ["Nothing that clients notice.", ""]
    for level, heading in HEADINGS.items():
        operations: dict[str, list[str]] = {}
        for change in result.changes:
            if change.level is level:
                operations.setdefault(change.operation, []).append(change.message)
        if not operations:
            continue
        lines += [f"## {heading}", ""]
        for operation, messages in operations.items():
            lines += [f"### {_code(operation)}" if operation else "### The API", ""]
            lines += [f"- {escaped(message)}" for message in dict.fromkeys(messages)]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = " ".join(text.split())
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return text


def _details(changes: Iterable[Change]) -> Iterable[str]:
    for change in changes:
        where = f"{_code(change.operation)} " if change.operation else ""
        yield f"- {where}{escaped(change.message)} ({_code(change.id)})"
        if change.accepted:
            yield f"  - accepted: {escaped(change.accepted)}"
        elif change.counterexample is not None:
            block = json.dumps(change.counterexample, indent=2, ensure_ascii=False, default=str).splitlines()
            yield from ("", "  ````json", *(f"  {line}" for line in block), "  ````")
        yield ""


def _code(text: str) -> str:
    return f"`` {' '.join(text.split())} ``" if "`" in text else f"`{' '.join(text.split())}`"
