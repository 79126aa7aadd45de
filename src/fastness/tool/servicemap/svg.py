"""The service map as a picture, without scripts: pointing at a box brings out the lines that pass through it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TextIO

from fastness.tool.servicemap.graph import Box, Path, common, label, paths, printable
from fastness.tool.servicemap.layout import Layout, Spot, arranged
from fastness.tool.servicemap.model import Component, Entry, Resource, ServiceMap
from fastness.tool.servicemap.text import summary

# The page that holds the picture gives these colours; a file of its own brings them.
COLOURS = """ --back: #fff; --fore: #1b1f24; --soft: #59636e; --line: #d1d9e0; --code: #f6f8fa; --info: #0b63c1;
 --edge: #8c959f; --entry: #ddf0ff; --way: #fff; --store: #d8f5e0; --away: #ffe9d6; --work: #ece4ff;
 --to-store: #4aa564; --to-away: #d9822b; --to-work: #8a63d2; """
DARK = """ --back: #0d1117; --fore: #e6edf3; --soft: #9198a1; --line: #30363d; --code: #161b22; --info: #79c0ff;
 --edge: #6e7681; --entry: #122d4a; --way: #161b22; --store: #12351f; --away: #46280f; --work: #2c2150;
 --to-store: #3f8f58; --to-away: #c07a35; --to-work: #8b6cc9; """
THEME = f":root {{{COLOURS}}} @media (prefers-color-scheme: dark) {{ :root {{{DARK}}} }}"
STYLE = """
.map { font: 12px system-ui, sans-serif; display: block; }
.map text { fill: var(--fore); } .map .heading { fill: var(--soft); font-weight: 600; }
.map rect { stroke: var(--line); fill: var(--way); } .map .entry rect { fill: var(--entry); }
.map .store rect { fill: var(--store); } .map .away rect { fill: var(--away); } .map .work rect { fill: var(--work); }
.map path { fill: none; stroke: var(--edge); stroke-width: 1.2; opacity: .55; }
.map .to-store { stroke: var(--to-store); } .map .to-away { stroke: var(--to-away); } .map .to-work { stroke: var(--to-work); }
.map:has(g:hover) path { opacity: .08; } .map g:hover rect { stroke: var(--info); stroke-width: 2; }
"""
_LOOKS = {"database": "store", "cache": "store", "search": "store", "storage": "store", "files": "store", "table": "store",
          "http": "away", "mail": "away", "jobs": "work", "broker": "work", "process": "work"}  # fmt: skip
_MOST = 40  # entries in one picture that shows each; beyond, one of groups stands before those of each group
_MOST_GROUPS = 60


def write(drawn: ServiceMap, out: TextIO) -> None:
    """Write a file of its own: every entry where that can be read, else a box for each module of entries."""
    picture = whole(drawn) if is_small(drawn.entries) else overview(drawn)
    dark = f"@media (prefers-color-scheme: dark) {{ svg {{{DARK}}} }}"
    style = f"<style>svg {{{COLOURS} background: var(--back); padding: 16px; }} {dark}{STYLE}</style>"
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    out.write(picture.replace("<svg ", head, 1).replace(">", f">{style}", 1))
    out.write("\n")


def is_small(entries: Sequence[Entry]) -> bool:
    """All of them can be shown in one picture."""
    return len(entries) <= _MOST


def whole(drawn: ServiceMap, *, number: int = 0, headings: bool = True) -> str:
    """A picture with a box for each entry, component and resource.

    Args:
        number: of the picture in its page.
        headings: name the modules that declare the entries.
    """
    ways = [path for entry in drawn.entries for path in paths(entry)]
    short = common(drawn.entries)
    labels: dict[object, str] = {box: label(box, short=short) for way in ways for box in way}
    groups = drawn.groups if headings else {"": list(drawn.entries)}
    return _drawn(arranged(groups, ways, labels), ways, number, summary(drawn))


def overview(drawn: ServiceMap) -> str:
    """A picture with a box for each module of entries, and the resources that it reaches."""
    modules = merged(drawn)
    of_entry = {entry: Component(_named(name, entries), name) for name, entries in modules.items() for entry in entries}
    ways: list[tuple[Box, ...]] = [(of_entry[entry], path[-1]) for entry in drawn.entries for path in paths(entry) if path[1:]]
    boxes = list(dict.fromkeys(of_entry.values()))
    known = Counter(box.name.rpartition(" (")[0] for box in boxes)
    labels: dict[object, str] = {
        box: f"{box.name}, {PurePosixPath(box.path).name}" if known[box.name.rpartition(" (")[0]] > 1 else box.name
        for box in boxes
    }
    labels |= {way[1]: label(way[1]) for way in ways}
    return _drawn(arranged({"": boxes}, ways, labels), ways, 0, summary(drawn))


def merged(drawn: ServiceMap) -> dict[str, list[Entry]]:
    """The entries by module; by directory, where there are too many modules to look at."""
    found = drawn.groups
    deepest = max((name.count("/") for name in found), default=0)
    for depth in range(deepest, 0, -1):
        if len(found) <= _MOST_GROUPS:
            break
        grouped: dict[str, list[Entry]] = {}
        for name, entries in found.items():
            grouped.setdefault("/".join(name.split("/")[:depth]), []).extend(entries)
        found = grouped
    return found


def prefix(entries: Sequence[Entry]) -> str:
    """The beginning that the paths of all share; empty where they share none."""
    parts = [path.split("/") for entry in entries for path in entry.paths[:1]]
    shared = []
    for pieces in zip(*parts, strict=False):
        if len(set(pieces)) > 1 or "{?}" in pieces[0]:
            break
        shared.append(pieces[0])
    found = "/".join(shared)
    return found if len(found) > 1 else ""


def _named(module: str, entries: Sequence[Entry]) -> str:
    """What people know a group of entries by, and how many there are."""
    return f"{prefix(entries) or PurePosixPath(module).name} ({len(entries)})"


def _drawn(layout: Layout, ways: Sequence[Path], number: int, title: str) -> str:
    ids = {box: f"m{number}b{position}" for position, box in enumerate(layout.spots)}
    through: dict[tuple[object, object], dict[str, None]] = {}
    counts: dict[tuple[object, object], int] = {}
    for way in ways:
        for line in pairwise(way):
            through.setdefault(line, {}).update(dict.fromkeys(ids[box] for box in way))
            counts[line] = counts.get(line, 0) + 1
    width, height = round(layout.width), round(layout.height)
    pieces = [f'<svg class="map" width="{width}" height="{height}" viewBox="-2 -2 {width + 4} {height + 4}" role="img">']
    pieces.append(f"<title>{_safe(title)}</title>")
    rules = (f".map:has(.{one}:hover) .via-{one}" for one in ids.values())
    pieces.append(f"<style>{','.join(rules)}{{opacity:1;stroke:var(--info)}}</style>" if ids else "")
    pieces += _lines(layout.spots, through, counts)
    pieces += [f'<text class="heading" x="0" y="{y:.0f}">{_safe(text)}</text>' for text, y in layout.headings]
    pieces += [_box(box, spot, ids[box]) for box, spot in layout.spots.items()]
    return "".join([*pieces, "</svg>"])


def _lines(
    spots: Mapping[object, Spot],
    through: Mapping[tuple[object, object], Mapping[str, None]],
    counts: Mapping[tuple[object, object], int],
) -> Iterator[str]:
    for (begin, end), users in through.items():
        a, b = spots[begin], spots[end]
        x, bend = a.x + a.width, max((b.x - a.x - a.width) / 2, 40)
        weight = f' stroke-width="{min(1 + counts[begin, end] / 8, 4):.1f}"' if counts[begin, end] > 4 else ""
        curve = f"M{x:.0f} {a.y:.0f}C{x + bend:.0f} {a.y:.0f} {b.x - bend:.0f} {b.y:.0f} {b.x:.0f} {b.y:.0f}"
        look = [f"to-{_LOOKS.get(end.kind, 'away')}"] if isinstance(end, Resource) else []
        yield f'<path class="{" ".join([*look, *(f"via-{one}" for one in users)])}" d="{curve}"{weight}/>'


def _box(box: object, spot: Spot, name: str) -> str:
    look, about = "way", ""
    if isinstance(box, Entry):
        look, about = "entry", f"{box.title}: {box.function}, {box.place}"
    elif isinstance(box, Resource):
        look, about = _LOOKS.get(box.kind, "away"), str(box)
    elif isinstance(box, Component):
        look, about = ("entry" if box.name.endswith(")") else "way"), f"{box.name}, {box.path}"
    text = f'<text x="{spot.x + 10:.0f}" y="{spot.y + 4:.0f}">{_safe(spot.text)}</text>'
    shape = f'<rect x="{spot.x:.0f}" y="{spot.y - 10:.0f}" width="{spot.width:.0f}" height="20" rx="4"/>'
    return f'<g class="{look} {name}"><title>{_safe(about)}</title>{shape}{text}</g>'


def _safe(text: str) -> str:
    return escape(printable(text))
