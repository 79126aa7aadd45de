"""Narrows a service map down to what a person asks about: from these endpoints, to this resource."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from fastness.tool.errors import CommandError
from fastness.tool.servicemap.contacts import JOBS
from fastness.tool.servicemap.model import JOB, Entry, Resource, ServiceMap

_ASKED = re.compile(r"(?:([A-Za-z]+)\s+)?(\S+)")
_PARAMETER = re.compile(r"\{(\?|\w+(?::\w+)?)\}")
_MOST = 20  # names in an error


def narrowed(whole: ServiceMap, *, begin: str | None = None, end: str | None = None) -> ServiceMap:
    """The part of a map that begins and ends as asked; all of it when nothing is asked.

    Args:
        begin: `POST /v1/orders`, a path as a client sends it or as it is declared, a pattern with `*`, a function or a file.
        end: a kind of resource, its name or a part of it, or a table.

    Raises:
        CommandError: the map has nothing of that name. That one cannot be reached from the other is no error.
    """
    entries = list(whole.entries)
    if begin is not None:
        entries = [entry for entry in entries if _begins(entry, begin)]
        if not entries:
            raise CommandError(f"nothing in the map is called {begin!r}: {_hint(begin, _beginnings(whole))}")
    if end is not None:
        wanted = {reach.resource for entry in whole.entries for reach in entry.reaches if _is_called(reach.resource, end)}
        if not wanted:
            raise CommandError(f"no resource or table is called {end!r}: {_hint(end, _ends(whole))}")
        wanted |= _queued_for(whole, wanted)
        ending = (replace(e, reaches=tuple(r for r in e.reaches if r.resource in wanted)) for e in entries)
        entries = [entry for entry in ending if entry.reaches]
    asked = [f"from {begin}" if begin else "", f"to {end}" if end else ""]
    return replace(whole, entries=entries, filtered=" ".join(filter(None, asked)))


def _begins(entry: Entry, asked: str) -> bool:
    if asked in {entry.function, entry.function.rpartition(".")[2], entry.group, entry.title}:
        return True
    parts = _ASKED.fullmatch(asked.strip())
    if parts is None or (parts[1] and parts[1].upper() not in entry.methods):
        return False
    return any(_is_path(path, parts[2]) for path in entry.paths)


def _is_path(declared: str, asked: str) -> bool:
    """The paths are equal, whatever their parameters are called, or one is a request to the other."""
    if "*" in asked:
        return fnmatchcase(declared, asked)
    pieces = re.split(r"(\{[^}]*\})", declared)
    pattern = "".join(_segment(piece) if _PARAMETER.fullmatch(piece) else re.escape(piece) for piece in pieces)
    return re.fullmatch(f"{pattern}/?", asked.partition("?")[0] if "{?}" not in asked else asked) is not None


def _segment(parameter: str) -> str:
    return ".+" if parameter.endswith(":path}") or parameter == "{?}" else r"(?:\{[^}]*\}|[^/]+)"


def _is_called(resource: Resource, asked: str) -> bool:
    wanted = asked.strip().casefold()
    return wanted in {resource.kind, resource.name.casefold()} or (wanted != "" and wanted in str(resource).casefold())


def _queued_for(whole: ServiceMap, wanted: set[Resource]) -> set[Resource]:
    """The jobs that reach one of these: who has one run is on the way there too."""
    found: set[Resource] = set()
    while True:
        ends = wanted | found
        jobs = {e.function for e in whole.of_kind(JOB) if not ends.isdisjoint(reach.resource for reach in e.reaches)}
        more = {Resource(JOBS, name) for name in jobs} - found
        if not more:
            return found
        found |= more


def _beginnings(whole: ServiceMap) -> list[str]:
    return [entry.title for entry in whole.entries]


def _ends(whole: ServiceMap) -> list[str]:
    return [str(resource) for resource in whole.resources]


def _hint(asked: str, known: Iterable[str]) -> str:
    names = list(dict.fromkeys(known))
    close = get_close_matches(asked, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"it has {', '.join(names[:_MOST])}{more}" if names else "it is empty"
