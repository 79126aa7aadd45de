"""The service map for a terminal: a tree by router, and of what was asked for every step of the way."""

from __future__ import annotations

from collections import Counter
from typing import TextIO

from rich.console import Console
from rich.text import Text

from fastness.tool.servicemap.graph import common, label, printable
from fastness.tool.servicemap.model import ENDPOINT, JOB, MIDDLEWARE, WEBSOCKET, Entry, Reach, ServiceMap

_GAPS = 10  # the rest is counted, and in JSON
_TABLES = 8  # of one entry


def write(drawn: ServiceMap, out: TextIO) -> None:
    """Write the map, in colour when the stream is a terminal."""
    console = Console(file=out, highlight=False, soft_wrap=True)
    _say(console, (summary(drawn), "bold"))
    short = common(drawn.entries)
    for group, entries in drawn.groups.items():
        _say(console, "\n", (group, "bold underline"))
        for entry in entries:
            _entry(console, entry, short, whole=not drawn.filtered)
    if not drawn.filtered:
        _resources(console, drawn)
        _gaps(console, drawn)


def summary(drawn: ServiceMap) -> str:
    """One line: what the map shows."""
    counts = Counter(entry.kind for entry in drawn.entries)
    kinds = [(ENDPOINT, "endpoint"), (WEBSOCKET, "websocket"), (JOB, "job"), (MIDDLEWARE, "middleware")]
    told = [_many(counts[kind], word) for kind, word in kinds if counts[kind] or kind == ENDPOINT]
    part = f" {drawn.filtered}" if drawn.filtered else ""
    return f"Service map of {drawn.name}{part}: {', '.join(told)}, {_many(len(drawn.resources), 'resource')}"


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 or word == MIDDLEWARE else f"{number} {word}s"


def _entry(console: Console, entry: Entry, short: frozenset[str], *, whole: bool) -> None:
    _say(console, "  ", (entry.title, "bold"), f"  {entry.function}", (f"  {entry.place}", "dim"))
    for path in entry.paths[1:]:
        _say(console, "      ", ("also ", "dim"), path)
    if not whole:
        for reach in entry.reaches:
            _way(console, entry, reach)
        return
    if entry.through:
        _say(console, "      ", ("through ", "dim"), " · ".join(label(one, short=short) for one in entry.through))
    for resource in entry.resources:
        tables = entry.tables if resource.kind == "database" else []
        more = f", … {len(tables) - _TABLES} more" if len(tables) > _TABLES else ""
        _say(
            console,
            "      ",
            ("→ ", "green"),
            str(resource),
            (f" ({', '.join(tables[:_TABLES])}{more})" if tables else "", "dim"),
        )


def _way(console: Console, entry: Entry, reach: Reach) -> None:
    _say(console, "      ", ("→ ", "green"), (str(reach.resource), "bold"))
    asked = "" if reach.by == entry.function else " (a dependency)"
    for number, step in enumerate(reach.steps):
        _say(console, f"          {step.function}{asked if not number else ''}", (f"  {step.place}", "dim"))
    _say(console, f"          {reach.call}", (f"  {reach.place}", "dim"))


def _resources(console: Console, drawn: ServiceMap) -> None:
    counts = Counter(resource for entry in drawn.entries for resource in entry.resources)
    if counts:
        _say(console, "\n", ("Resources", "bold underline"))
        for resource, number in sorted(counts.items()):
            _say(console, f"  {resource}", (f"  reached by {number} of {len(drawn.entries)}", "dim"))


def _gaps(console: Console, drawn: ServiceMap) -> None:
    if drawn.gaps:
        _say(console, "\n", ("Not followed", "bold underline"), (": what lies behind these is not in the map", "dim"))
        for gap in drawn.gaps[:_GAPS]:
            times = f" ({gap.count} times)" if gap.count > 1 else ""
            _say(console, f"  {gap.what}{times}", (f"  {gap.place}", "dim"))
        if len(drawn.gaps) > _GAPS:
            _say(console, f"  … and {len(drawn.gaps) - _GAPS} more, in --format json")


def _say(console: Console, *parts: str | tuple[str, str]) -> None:
    safe = [
        printable(p) if isinstance(p, str) and p != "\n" else p if isinstance(p, str) else (printable(p[0]), p[1])
        for p in parts
    ]
    console.print(Text.assemble(*safe))
