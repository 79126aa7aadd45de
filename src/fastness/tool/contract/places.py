"""Where in a document the parts of a value are described: from steps into a value to JSON Pointers of its schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastness.tool.contract.references import escape, trace


class Place(NamedTuple):
    """A schema as it stands in a document, and its JSON Pointer."""

    raw: Any
    pointer: str


class Places:
    """The places in one document. Each schema is looked into once."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._known: dict[int, dict[str, Place]] = {}

    def locate(self, place: Place, path: tuple[str, ...]) -> tuple[Place, bool]:
        """What a path in the value means, as deep as the document has it in words, and whether that is the whole path."""
        for step in path:
            found = self.below(place).get(step)
            if found is None:
                return place, False
            place = found
        return place, True

    def followed(self, place: Place) -> Place:
        """The place that a reference leads to, or the place itself."""
        return Place(*trace(self._document, *place))

    def below(self, place: Place) -> dict[str, Place]:
        """The schemas of the parts of a value, by name of the property or index; `*` is any other part."""
        known = self._known.get(id(place.raw))
        if known is None:
            known = self._known[id(place.raw)] = {}
            for step, found in self._parts(place, set()):
                known.setdefault(step, found)
        return known

    def _parts(self, place: Place, seen: set[int]) -> Iterator[tuple[str, Place]]:
        raw, pointer = trace(self._document, *place)
        if isinstance(place.raw, dict) and raw is not place.raw and len(place.raw) > 1:  # what stands beside a reference
            beside = {key: value for key, value in place.raw.items() if key != "$ref"}
            yield from self._parts(Place(beside, place.pointer), seen)
        if not isinstance(raw, dict) or id(raw) in seen:
            return
        seen.add(id(raw))
        properties, prefix = raw.get("properties"), raw.get("prefixItems")
        if isinstance(properties, dict):
            for name, inner in properties.items():
                yield name, Place(inner, f"{pointer}/properties/{escape(name)}")
        if isinstance(prefix, list):
            for index, inner in enumerate(prefix):
                yield str(index), Place(inner, f"{pointer}/prefixItems/{index}")
        for holder in ("items", "additionalProperties"):
            if isinstance(raw.get(holder), dict):
                yield "*", Place(raw[holder], f"{pointer}/{holder}")
        if isinstance(raw.get("contentSchema"), dict):
            yield "contentSchema", Place(raw["contentSchema"], f"{pointer}/contentSchema")
        for holder in ("allOf", "anyOf", "oneOf"):
            members = raw.get(holder)
            for index, member in enumerate(members if isinstance(members, list) else ()):
                yield from self._parts(Place(member, f"{pointer}/{holder}/{index}"), seen)


def common(old: Places, one: Place, new: Places, other: Place) -> Iterator[tuple[tuple[str, ...], Place, Place]]:
    """Every part of a value that both documents describe: its path and both places. Recursive schemas are walked once."""
    pending: list[tuple[tuple[str, ...], Place, Place]] = [((), one, other)]
    seen: set[tuple[int, int]] = set()
    while pending:
        path, before, after = pending.pop()
        mine, theirs = old.below(before), new.below(after)
        for step in (name for name in mine if name in theirs):  # in the order of the document, in every run
            pair = (id(mine[step].raw), id(theirs[step].raw))
            if pair not in seen:
                seen.add(pair)
                yield (*path, step), mine[step], theirs[step]
                pending.append(((*path, step), mine[step], theirs[step]))
