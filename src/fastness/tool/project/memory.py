"""Remembers answers, so that what an answer is depends on the question alone and never on what was asked before.

Definitions can refer to each other in a circle: `node = node.parent`. A question that is asked while it is being answered
gets nothing, and what was answered on the way then holds for that way into the circle only: it is forgotten when the circle is
closed. Of a circle, the answer to the question that it was entered with is kept, for those that stand outside.

An answer is kept with the modules that were looked into for it. Whoever is given the answer has looked into them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from fastness.tool.project.module import Module
from fastness.tool.project.reading import Reading

if TYPE_CHECKING:
    from fastness.tool.project.symbols import Scope
    from fastness.tool.project.values import Values

_DEEPEST = 400  # nested questions; what lies deeper is not told
_NEVER = 1 << 30
_Key: TypeAlias = tuple[str, int, int]
_Halfway: TypeAlias = "list[Any]"


class Memory:
    """The answers of one resolver."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._known: dict[_Key, tuple[Values, int]] = {}
        self._alive: dict[int, object] = {}  # ids stay unique as long as the objects live
        self._asking: dict[_Key, int] = {}  # what is being answered, with its depth
        self._lowest = _NEVER  # the depth of the outermost question that was asked again since the innermost one began
        self._halfway: dict[_Key, _Halfway] = {}
        self._order: list[_Key] = []
        self._circles: dict[_Key, int] = {}
        self._inside: Counter[int] = Counter()
        self._entered: dict[_Key, tuple[Values, int]] = {}

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
        own = (scope if isinstance(scope, Module) else scope.module).bit
        depth = self._asking.get(key)
        if depth is not None:
            reading.mask |= own
            self._lowest = min(self._lowest, depth)
            return ()
        circle = self._circles.get(key)
        if circle is not None:
            if not self._inside[circle] and key in self._entered:
                values, mask = self._entered[key]
                reading.mask |= mask
                return values
            halfway = self._halfway.get(key)
        else:
            halfway = self._halfway.get(key)
        if halfway is not None:
            reading.mask |= halfway[1]
            self._lowest = min(self._lowest, halfway[2])
            return halfway[0]
        depth = len(self._asking)
        if depth > _DEEPEST:
            return ()
        self._alive[id(about)] = about
        before, lowest, start = reading.mask, self._lowest, len(self._order)
        reading.mask, self._lowest = own, _NEVER
        self._asking[key] = depth
        if circle is not None:
            self._inside[circle] += 1
        try:
            found = find()
        except BaseException:
            self._forget(start)
            raise
        else:
            mask, low = reading.mask, self._lowest
            self._keep(key, found, mask, low, depth, start)
            lowest = min(lowest, low if low < depth else _NEVER)
            return found
        finally:
            del self._asking[key]
            if circle is not None:
                self._inside[circle] -= 1
            reading.mask |= before
            self._lowest = lowest

    def _keep(self, key, found, mask, low, depth, start) -> None:
        if low > depth:
            self._known[key] = (found, mask)
        elif low == depth:
            members = self._order[start:]
            number = self._circles.get(key)
            if number is None:
                number = len(self._circles) + 1
                self._circles[key] = number
            for member in members:
                self._circles.setdefault(member, number)
            self._forget(start)
            self._entered[key] = (found, mask)
        else:
            for member in self._order[start:]:
                one = self._halfway[member]
                one[2] = min(one[2], low)
            self._halfway[key] = [found, mask, low]
            self._order.append(key)

    def _forget(self, start: int) -> None:
        for key in self._order[start:]:
            del self._halfway[key]
        del self._order[start:]
