"""The result for a terminal."""

from __future__ import annotations

import json
from typing import Any

from fastness.tool.contract.changes import Change, Level
from fastness.tool.contract.compare import Result

HEADINGS = {Level.BREAKING: "Breaking", Level.WARNING: "Take note", Level.INFO: "Also changed"}
_WIDEST = 400


def render(result: Result) -> str:
    """Breaking changes with their counterexamples, then warnings, then the rest, and a last line that sums up."""
    lines: list[str] = []
    for change in result.changes:
        lines += _change(change)
    return "\n".join([*lines, summary(result)]) + "\n"


def summary(result: Result) -> str:
    """One line: the verdict, the numbers, and the version that they ask for."""
    counts = {level: sum(change.level is level and change.accepted is None for change in result.changes) for level in Level}
    accepted = sum(change.accepted is not None for change in result.changes)
    parts = [f"{count} {level.value}" for level, count in counts.items() if count]
    parts += [f"{accepted} accepted"] if accepted else []
    line = f"{result.verdict.value}: {', '.join(parts) or 'no change'}"
    if not result.bumped:
        line += f"; version {result.versions[0] or 'none'} -> {result.versions[1] or 'none'} needs a {result.bump} step"
    return line


def shown(value: Any) -> str:
    """A counterexample on one line."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} ..."


def plain(text: str) -> str:
    """Text of a document as one line that neither a terminal nor a log takes for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _change(change: Change) -> list[str]:
    where = f"{plain(change.operation)}: " if change.operation else ""
    level = f"accepted {change.level.value}" if change.accepted else change.level.value
    lines = [f"{level:<9} {where}{plain(change.message)}", f"          {change.id} at {plain(change.location)}"]
    if change.accepted:
        lines.append(f"          accepted: {change.accepted}")
    elif change.counterexample is not None:
        lines.append(f"          {shown(change.counterexample)}")
    return lines
