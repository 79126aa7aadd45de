"""Where boxes stand: entries on the left, resources on the right, between them each component behind what leads to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_ROW, _HEADING = 26.0, 30.0  # pixels from one box to the next
_BOX = 20.0
_CHARACTER = 6.7  # pixels of the width of text, about
_LONGEST = 46  # characters of a label
_GAP, _WIDE = 90.0, 240.0  # pixels between columns; where there are two alone
_MOST_COLUMNS = 3  # of components; what is deeper stands in the last
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Spot:
    """A box in its place, in pixels.

    Attributes:
        y: of its middle.
    """

    x: float
    y: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """All boxes in their places.

    Attributes:
        headings: of groups of entries, each with the place of its text.
    """

    spots: Mapping[object, Spot]
    headings: Sequence[tuple[str, float]]
    width: float
    height: float


def arranged(
    groups: Mapping[str, Sequence[object]],
    paths: Iterable[Sequence[object]],
    labels: Mapping[object, str],
) -> Layout:
    """Give every box a place.

    Args:
        groups: what stands in the first column, by heading; an empty heading takes no room.
        paths: from a box of the first column to one of the last.
        labels: the text of every box.
    """
    ways = [list(path) for path in paths]
    rows, headings, bottom = _first_column(groups)
    columns = _columns(list(rows), ways)
    neighbours: dict[object, list[object]] = {}
    for way in ways:
        for begin, end in pairwise(way):
            neighbours.setdefault(end, []).append(begin)
    for column in columns[1:]:
        bottom = max(bottom, len(column) * _ROW)
    for column in columns[1:]:
        _place(column, neighbours, rows, bottom)
    gap = _WIDE if len(columns) == 2 else _GAP
    if len(columns) == 2:
        _spread(columns[1], rows, bottom)
    spots: dict[object, Spot] = {}
    x = 0.0
    for column in columns:
        texts = {box: shortened(labels[box]) for box in column}
        width = max((len(text) for text in texts.values()), default=0) * _CHARACTER + 20
        spots.update({box: Spot(x, rows[box], width, text) for box, text in texts.items()})
        x += width + gap
    return Layout(spots, headings, max(x - gap, 0) + 4, max((spot.y for spot in spots.values()), default=0) + _BOX)


def shortened(text: str, most: int = _LONGEST) -> str:
    """The text without its middle, when it is too long for a box."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-most // 2 :]}"


def _first_column(groups: Mapping[str, Sequence[object]]) -> tuple[dict[object, float], list[tuple[str, float]], float]:
    rows: dict[object, float] = {}
    headings = []
    y = 0.0
    for heading, boxes in groups.items():
        if heading:
            headings.append((heading, y + 18))
            y += _HEADING
        for box in boxes:
            rows[box] = y + _BOX / 2
            y += _ROW
        y += 8
    return rows, headings, y


def _columns(first: list[object], ways: list[list[object]]) -> list[list[object]]:
    """The boxes of each column: of a component the deepest place that it has on any way."""
    depths: dict[object, int] = {}
    last: dict[object, None] = {}
    for way in ways:
        for depth, box in enumerate(way[1:-1], 1):
            depths[box] = max(depths.get(box, 0), min(depth, _MOST_COLUMNS))
        if len(way) > 1:
            last[way[-1]] = None
    middle = [[box for box, depth in depths.items() if depth == number] for number in range(1, _MOST_COLUMNS + 1)]
    return [column for column in (first, *middle, list(last)) if column]


def _place(column: list[object], leading: Mapping[object, list[object]], rows: dict[object, float], bottom: float) -> None:
    """Each as near as it can be to the middle of what leads to it; order and distance settle in a few rounds."""
    wished = {}
    for box in column:
        heights = [rows[one] for one in leading.get(box, ()) if one in rows]
        wished[box] = sum(heights) / len(heights) if heights else bottom / 2
    ordered = sorted(column, key=lambda box: wished[box])
    places = [wished[box] for box in ordered]
    for _ in range(_ROUNDS):
        for index in range(1, len(places)):
            places[index] = max(places[index], places[index - 1] + _ROW)
        over = max(places[-1] - max(bottom - _BOX / 2, 0), 0)
        places = [place - over for place in places]
        for index in range(len(places) - 2, -1, -1):
            places[index] = min(places[index], places[index + 1] - _ROW)
        under = max(_BOX / 2 - places[0], 0)
        places = [place + under for place in places]
    rows.update(zip(ordered, places, strict=True))


def _spread(column: list[object], rows: dict[object, float], bottom: float) -> None:
    """The same order over the whole height: of many lines to one place each is seen for longer."""
    step = max(bottom / len(column), _ROW)
    for position, box in enumerate(sorted(column, key=lambda one: rows[one])):
        rows[box] = step * (position + 0.5)
