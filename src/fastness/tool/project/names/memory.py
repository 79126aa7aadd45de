"""Remembers answers, so that what an answer is depends on the question alone and never on what was asked before.

Definitions can refer to each other in a circle: `node = node.parent`. A question that is asked while it is being answered
gets nothing, and what was answered on the way then holds for that way into the circle only: it is forgotten when the circle is
closed. Of a circle, the answer to the question that it was entered with is kept, for those that stand outside.

An answer is kept with the modules that were looked into for it. Whoever is given the answer has looked into them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from fastness.tool.project.kept.reading import Reading
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function

if TYPE_CHECKING:
    from fastness.tool.project.names.values import Values
    from fastness.tool.project.source.symbols import Scope

_DEEPEST = 400  # nested questions; what lies deeper is not told
_NEVER = 1 << 30
_CUT = -1  # as the depth that an answer depends on: it lacks what lies too deep, so it holds for that way only
_Key: TypeAlias = tuple[str, int, int]


class Memory:
    """The answers of one resolver."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._known: dict[_Key, tuple[Values, int]] = {}
        self._alive: dict[int, object] = {}  # ids stay unique as long as the objects live
        self._asking: dict[_Key, int] = {}  # what is being answered, with its depth
        self._lowest = _NEVER  # the depth of the outermost question that was asked again since the innermost one began
        self._halfway: dict[_Key, tuple[Values, int, int]] = {}  # with the depth of the outermost question they depend on
        self._order: list[_Key] = []  # of those, as they were answered
        self._circles: dict[_Key, int] = {}  # the circle in which a question lies, by number
        self._bits: dict[int, int] = {}  # of scopes, by id
        self._inside: Counter[int] = Counter()  # how many questions of each are being answered
        self._entered: dict[_Key, tuple[Values, int]] = {}  # answers to questions of circles, asked from outside

    def answer(self, question: str, about: object, scope: Scope, find: Callable[[], Values]) -> Values:
        """The answer to a question about something in a scope, found when it is asked for the first time."""
        key = (question, id(about), id(scope))
        reading = self._reading
        known = self._known.get(key)
        if known is not None:
            reading.mask |= known[1]
            return known[0]
        return self._first(key, about, scope, find)

    def _first(self, key: _Key, about: object, scope: Scope, find: Callable[[], Values]) -> Values:
        reading = self._reading
        depth = self._asking.get(key)
        if depth is not None:
            return self._again((), 0, depth)
        circle = self._circles.get(key)  # most questions lie in none
        if circle is not None and not self._inside[circle] and key in self._entered:
            found, mask = self._entered[key]
            reading.mask |= mask
            return found
        if key in self._halfway:
            return self._again(*self._halfway[key])
        depth = len(self._asking)
        if depth > _DEEPEST:
            return self._again((), 0, _CUT)
        self._alive[id(about)] = about
        before, lowest, start = reading.mask, self._lowest, len(self._order)
        bits = self._bits.get(key[2])
        if bits is None:
            bits = self._bits[key[2]] = bits_of(scope)
        reading.mask, self._lowest = bits, _NEVER
        self._asking[key] = depth
        if circle is not None:
            self._inside[circle] += 1
        try:
            found = find()
            if self._lowest > depth:
                self._known[key] = (found, reading.mask)
                self._lowest = lowest
            else:
                self._close(key, found, depth, start)
                self._lowest = min(self._lowest, lowest)
        except BaseException:
            self._forget(start)
            self._lowest = lowest
            raise
        finally:
            del self._asking[key]
            if circle is not None:
                self._inside[circle] -= 1
            reading.mask |= before
        return found

    def _again(self, found: Values, mask: int, depth: int) -> Values:
        """What is given to a question that is being answered, or whose answer depends on one that is."""
        self._reading.mask |= mask
        self._lowest = min(self._lowest, depth)
        return found

    def _close(self, key: _Key, found: Values, depth: int, start: int) -> None:
        """An answer was found in whose finding a question was asked that is being answered."""
        mask, inner = self._reading.mask, self._order[start:]
        if self._lowest == _CUT and depth == 0:
            self._forget(start)
            self._lowest = _NEVER
            return
        if self._lowest < depth:  # by somebody outside, so it holds as long as that is not answered
            for member in inner:
                values, read, low = self._halfway[member]
                self._halfway[member] = (values, read, min(low, self._lowest))
            self._halfway[key] = (found, mask, self._lowest)
            self._order.append(key)
            return
        circle = self._circles.setdefault(key, len(self._circles) + 1)
        for member in inner:
            self._circles.setdefault(member, circle)
        self._forget(start)
        self._entered[key] = (found, mask)
        self._lowest = _NEVER

    def _forget(self, start: int) -> None:
        for key in self._order[start:]:
            del self._halfway[key]
        del self._order[start:]


def bits_of(scope: Scope) -> int:
    """Of the file in which something is asked about, and of the bodies in it."""
    inner = scope
    while not isinstance(inner, Module):
        if isinstance(inner, Function):
            return inner.module.bit | inner.module.inner_bit
        inner = inner.parent
    return inner.bit
