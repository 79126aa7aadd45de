"""The result as workflow commands of GitHub Actions, which show as annotations of a pull request."""

from __future__ import annotations

from fastness.tool.contract.changes import Level
from fastness.tool.contract.compare import Result
from fastness.tool.contract.reports.text import shown, summary

_COMMANDS = {Level.BREAKING: "error", Level.WARNING: "warning", Level.INFO: "notice"}


def render(result: Result) -> str:
    """One annotation for each change that is more than information, and one that sums up."""
    lines = []
    for change in result.changes:
        if change.level is Level.INFO and change.accepted is None:
            continue
        command = "notice" if change.accepted else _COMMANDS[change.level]
        text = f"{change.operation}: {change.message}\n{change.location}" if change.operation else change.message
        if change.accepted:
            text += f"\naccepted: {change.accepted}"
        elif change.counterexample is not None:
            text += f"\n{shown(change.counterexample)}"
        lines.append(f"::{command} title={_property(change.id)}::{_data(text)}")
    lines.append(f"::notice title=fastness contract::{_data(summary(result))}")
    return "\n".join(lines) + "\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
