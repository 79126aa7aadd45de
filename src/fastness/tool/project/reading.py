"""What answers were read from, as a set of bits: two for each module, and the lowest for all modules at once.

Nothing is noted where nodes are looked at, which is everywhere, but where the way leads into another file: a name is
followed there (`Project.find`), or something in it is asked about (`Memory`). What everybody has a part in, as the
service's routes, is noted by those who hold it. The second bit of a module says that something in the body of a function was
asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

EVERYTHING = 1


class Reading:
    """What was looked into since somebody set `mask` to zero."""

    __slots__ = ("mask",)

    def __init__(self) -> None:
        self.mask = 0


class Read(Protocol):
    """A project, or a model of one."""

    @property
    def reading(self) -> Reading: ...


_S = TypeVar("_S", bound=Read)
_T = TypeVar("_T")


def known_once(find: Callable[[_S], _T]) -> Callable[[_S], _T]:
    """Remembers what a function says about a whole project."""
    answers: WeakKeyDictionary[_S, _T] = WeakKeyDictionary()

    @wraps(find)
    def answer(of: _S) -> _T:
        if of not in answers:
            answers[of] = find(of)
        of.reading.mask |= EVERYTHING
        return answers[of]

    return answer


FACTS: list[Callable[..., object]] = []


def fact(find: Callable[[_S], _T]) -> Callable[[_S], _T]:
    """Remembers what a function says about a whole project, in a value so small that what was read for it need not be known.

    Answers that were read from it hold as long as the value is the same.
    """
    answers: WeakKeyDictionary[_S, _T] = WeakKeyDictionary()

    @wraps(find)
    def answer(of: _S) -> _T:
        if of not in answers:
            before = of.reading.mask
            answers[of] = find(of)
            of.reading.mask = before
        return answers[of]

    FACTS.append(answer)
    return answer
