"""What answers were read from, as a set of bits: two for each module, and three for what all of them together tell.

Nothing is noted where nodes are looked at, which is everywhere, but where the way leads into another file: a name is
followed there (`Project.find`), or something in it is asked about (`Memory`). What everybody has a part in, as the
service's routes, is noted by those who hold it. The second bit of a module says that something in the body of a function was
asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from fastness.tool.project.source.module import Module
    from fastness.tool.project.source.symbols import Function

EVERYTHING = 1
INHERITANCE = 2  # who inherits from whom
CALLED = 4  # which files call something of a name, and what they give it
FIRST = 3  # the position of the first bit that stands for a module
_T = TypeVar("_T")


class Reading:
    """What was looked into since somebody set `mask` to zero."""

    __slots__ = ("mask",)

    def __init__(self) -> None:
        self.mask = 0

    def apart(self, scope: Module | Function, find: Callable[[], _T]) -> tuple[_T, int]:
        """What is found about a function or a file, and what was looked into for that alone."""
        before, self.mask = self.mask, 0
        self.body(scope)
        try:
            return find(), self.mask
        finally:
            self.mask |= before

    def body(self, scope: Module | Function) -> None:
        """A function or a file is looked into without asking what something in it stands for."""
        module: Any = getattr(scope, "module", scope)
        self.mask |= module.bit | module.inner_bit


class Read(Protocol):
    """A project, or a model of one."""

    @property
    def reading(self) -> Reading: ...


_S = TypeVar("_S", bound=Read)


def table(make: Callable[[_S], _T]) -> Callable[[_S], _T]:
    """A table that belongs to a whole project. Who asks it notes what the entries were read from."""
    tables: WeakKeyDictionary[_S, _T] = WeakKeyDictionary()

    @wraps(make)
    def of_project(of: _S) -> _T:
        if of not in tables:
            tables[of] = make(of)
        return tables[of]

    return of_project


def known_once(find: Callable[[_S], _T]) -> Callable[[_S], _T]:
    """Remembers what a function says about a whole project."""
    known = table(find)

    @wraps(find)
    def answer(of: _S) -> _T:
        found = known(of)
        of.reading.mask |= EVERYTHING
        return found

    return answer


FACTS: list[Callable[..., object]] = []


def fact(find: Callable[[_S], _T]) -> Callable[[_S], _T]:
    """Remembers what a function says about a whole project, in a value so small that what was read for it need not be known.

    Answers that were read from it hold as long as the value is the same.
    """
    known = table(find)

    @wraps(find)
    def answer(of: _S) -> _T:
        before = of.reading.mask
        found = known(of)
        of.reading.mask = before
        return found

    FACTS.append(answer)
    return answer
