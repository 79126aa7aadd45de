"""The service map as boxes and lines: what the drawn forms have in common. Where a box stands is not here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from fastness.tool.servicemap.contacts import DATABASE, FILES, UNTOLD
from fastness.tool.servicemap.model import TABLE, Component, Entry, Resource

Box = Entry | Component | Resource
Path = tuple[Box, ...]


def paths(entry: Entry) -> Iterator[Path]:
    """The ways of an entry as boxes: itself, components, the resource. A way to a table ends in its database."""
    databases = [resource for resource in entry.resources if resource.kind == DATABASE]
    found: dict[Path, None] = {}
    for reach in entry.reaches:
        end: tuple[Resource, ...] = (reach.resource,)
        if reach.resource.kind == TABLE:
            end = (databases[0],) if databases else (Resource(DATABASE, "tables"),)
        found[entry, *entry.way(reach), *end] = None
    yield from found or ((entry,),)


def lines(entries: Sequence[Entry]) -> dict[tuple[Box, Box], list[Entry]]:
    """Which box leads to which, and for which entries."""
    found: dict[tuple[Box, Box], list[Entry]] = {}
    for entry in entries:
        for path in paths(entry):
            for line in pairwise(path):
                users = found.setdefault(line, [])
                if entry not in users[-1:]:
                    users.append(entry)
    return found


def label(box: Box, *, short: frozenset[str] = frozenset()) -> str:
    """What stands in a box.

    Args:
        short: the top-level packages whose name says nothing, because all are in them.
    """
    if isinstance(box, Entry):
        return box.title
    if isinstance(box, Resource):
        return box.name if box.kind == DATABASE and box.name != "sql" else _resource(box)
    top, dot, rest = box.name.partition(".")
    return rest if dot and top in short else box.name


def _resource(resource: Resource) -> str:
    if resource.kind == DATABASE:
        return "SQL database"
    begin, given, module = resource.name.partition(UNTOLD)
    name = f"{begin}{given}{module.rpartition('.')[2]}"
    return name if resource.kind == FILES else f"{resource.kind}: {name}"


def common(entries: Sequence[Entry]) -> frozenset[str]:
    """The package that all modules between these entries and their resources are in, if there is one."""
    modules = {component.name for entry in entries for component in entry.through if "." in component.name}
    tops = {name.partition(".")[0] for name in modules}
    return frozenset(tops) if len(tops) == 1 else frozenset()


def printable(text: str) -> str:
    """Text without characters that a terminal or a document would act upon."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
