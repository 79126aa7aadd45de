"""What was found out about single functions and files, kept from one check to the next with what it was read from.

An edit can change few of the answers. The others are taken from here, so that files of which nothing else is asked are not
read at all. Values are what JSON holds; definitions in them are named by labels (`Module.labels`), calls by their numbers, and
lines counted from that of the function: what stands above it may be another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from fastness.tool.project.kept.reading import EVERYTHING, Reading
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function

Key: TypeAlias = tuple[str, str, str]
"""The path of a file, the label of the function in it, none for the file itself, and the question."""
_T = TypeVar("_T")


class Note(NamedTuple):
    """An answer, and the modules that were looked into for it, as bits."""

    value: Any
    mask: int


class Notes:
    """The notes of one project.

    Attributes:
        kept: from the run before; of files that are as they were, and read from what nobody changed since.
        made: in this run, but for what depends on the whole project.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.kept: Mapping[Key, Note] = {}
        self.made: dict[Key, Note] = {}

    def recall(self, question: str, scope: Module | Function) -> Note | None:
        """What is known of a function or a file; whoever is told has looked into the same."""
        key = _key(question, scope)
        note = self.made.get(key) or self.kept.get(key)
        if note is not None:
            self._reading.mask |= note.mask
        return note

    def keep(self, question: str, scope: Module | Function, note: Note) -> None:
        """Have it known from now on, and in the next run."""
        if not note.mask & EVERYTHING:
            self.made[_key(question, scope)] = note

    def ask(self, question: str, scope: Module | Function, find: Callable[[], Any]) -> Any:
        """What is found out: once, and again only when something that was looked into is another."""
        note = self.recall(question, scope)
        if note is None:
            note = Note(*self._reading.apart(scope, find))
            self.keep(question, scope, note)
        return note.value

    def search(self, question: str, scope: Module | Function, find: Callable[[], Iterable[_T]]) -> list[_T]:
        """All that is found. Where nothing was, nobody looks again before something that was looked into is another."""
        if self.recall(question, scope) is not None:
            return []
        found, mask = self._reading.apart(scope, lambda: list(find()))
        if not found:
            self.keep(question, scope, Note((), mask))
        return found


def _key(question: str, scope: Module | Function) -> Key:
    return (scope.path, "", question) if isinstance(scope, Module) else (*scope.label, question)
