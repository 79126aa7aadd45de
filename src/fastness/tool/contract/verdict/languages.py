"""Whether every string that one regular expression finds something in is one of another's, decided with automata.

Expressions are read as ECMA-262 and the validator do: `\\d` and `\\w` are ASCII, `$` is the end alone, and an expression is
looked for anywhere. What is no regular language (back references, assertions but for `^` and `$`) is not decided.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

_MOST_STATES = 2_000  # of one expression
_MOST_PAIRS = 4_000
_MOST_WORK = 200_000  # states that are looked at
_LONGEST = 300  # lengths up to here are counted
_PLAINEST = "a0A-_ .!"
_LAST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
_DIGITS: Ranges = ((0x30, 0x39),)
_WORDS: Ranges = (*_DIGITS, (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACES: Ranges = (
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)


class _NotRegularError(Exception):
    """The expression is none of a regular language, or too large."""


class Strings(NamedTuple):
    """Strings that an expression finds something in, of `least` to `most` characters. Without any, all strings."""

    pattern: str | None = None
    least: int = 0
    most: int | None = None

    def counts(self, size: int, counted: int) -> bool:
        """Whether a string of `size` characters is long enough and not too long, as far as lengths are counted."""
        return size >= min(self.least, counted) and (self.most is None or self.most >= _LONGEST or size <= self.most)


def escape(sent: Strings, taken: Strings) -> str | bool | None:
    """The shortest string that is sent and not taken; True when there is none, which is a proof; None when undecided."""
    # What holds for all lengths holds for those that are sent, and is found sooner.
    return True if _answer(Strings(sent.pattern), taken) is True else _answer(sent, taken)


@lru_cache(maxsize=1024)
def _answer(sent: Strings, taken: Strings) -> str | bool | None:
    try:
        return _escape(sent, taken)
    except (_NotRegularError, re.error, RecursionError, OverflowError):
        return None


def _escape(sent: Strings, taken: Strings) -> str | bool:
    limits = [limit for limit in (taken.least, taken.most) if limit is not None]
    if any(limit >= _LONGEST for limit in limits):
        raise _NotRegularError
    one, other = _Machine(sent.pattern), _Machine(taken.pattern)
    letters = _letters([*one.ranges(), *other.ranges()])
    # Nothing depends on more characters than these. What is sent may be longer than is counted: a proof holds all the same.
    limits += [limit for limit in (sent.least, sent.most) if limit is not None and limit < _LONGEST]
    counted = max(limits) + 1
    start = (one.start, other.start, 0)
    seen, pending = {start}, deque([(start, "")])
    while pending:
        (mine, theirs, size), text = pending.popleft()
        if sent.counts(size, counted) and one.accepts(mine) and not (taken.counts(size, counted) and other.accepts(theirs)):
            return text
        if sent.most is not None and size >= sent.most:
            continue
        for letter in letters:
            after = one.step(mine, ord(letter))
            found = (after, other.step(theirs, ord(letter)), min(size + 1, counted))
            if after and found not in seen:
                if len(seen) >= _MOST_PAIRS:
                    raise _NotRegularError
                seen.add(found)
                pending.append((found, text + letter))
    return True


State = frozenset[int]
_ALL: State = frozenset([-1])  # something was found: whatever follows, the string is one


@dataclass(slots=True)
class _Machine:
    """A nondeterministic automaton, made deterministic as it is walked."""

    pattern: str | None
    start: State = frozenset()
    _empty: list[list[tuple[int, str]]] = field(default_factory=list)  # edges that read nothing: to, "" or the anchor
    _edges: list[list[tuple[Ranges, int]]] = field(default_factory=list)
    _first: int = 0
    _last: int = 0
    _again: State = frozenset()
    _steps: dict[tuple[State, int], State] = field(default_factory=dict)
    _work: int = 0

    def __post_init__(self) -> None:
        if self.pattern is None:
            self.start = _ALL
            return
        tree = _parser.parse(self.pattern)
        if tree.state.flags & ~re.UNICODE or "{," in self.pattern:
            raise _NotRegularError
        self._first = self._state()
        self._last = self._sequence(tree, self._first)
        self._again = self._closed({self._first}, "")
        # Whoever begins at the start may pass `^`; whoever begins later may not.
        self.start = self._found(self._closed({self._first}, "^"))

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The ranges of characters that the expression tells apart."""
        for edges in self._edges:
            for found, _ in edges:
                yield from found

    def step(self, state: State, letter: int) -> State:
        """Where a character leads."""
        if state == _ALL:
            return state
        known = self._steps.get((state, letter))
        if known is None:
            self._work += len(state)
            if self._work > _MOST_WORK:
                raise _NotRegularError
            reached = {to for at in state for found, to in self._edges[at] if any(low <= letter <= high for low, high in found)}
            known = self._steps[state, letter] = self._found(self._closed(reached, "") | self._again)
        return known

    def accepts(self, state: State) -> bool:
        """Whether a string that ends here is one."""
        return state == _ALL or self._last in self._closed(set(state), "$^" if state is self.start else "$")

    def _found(self, state: State) -> State:
        return _ALL if self._last in state else state

    def _closed(self, states: set[int], anchors: str) -> State:
        pending, found = list(states), set(states)
        while pending:
            for to, anchor in self._empty[pending.pop()]:
                if to not in found and anchor in anchors:
                    found.add(to)
                    pending.append(to)
        return frozenset(found)

    def _state(self) -> int:
        if len(self._edges) >= _MOST_STATES:
            raise _NotRegularError
        self._edges.append([])
        self._empty.append([])
        return len(self._edges) - 1

    def _sequence(self, tree: Sequence[Any], at: int) -> int:
        for operation, argument in tree:
            at = self._one(operation, argument, at)
        return at

    def _one(self, operation: Any, argument: Any, at: int) -> int:
        if operation in (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN):
            to = self._state()
            self._edges[at].append((_characters(operation, argument), to))
            return to
        if operation is c.AT and argument in (c.AT_BEGINNING, c.AT_END):
            to = self._state()
            self._empty[at].append((to, "^" if argument is c.AT_BEGINNING else "$"))
            return to
        if operation is c.BRANCH:
            to = self._state()
            for alternative in argument[1]:
                self._empty[self._sequence(alternative, self._entered(at))].append((to, ""))
            return to
        if operation is c.SUBPATTERN and not argument[1] and not argument[2]:
            return self._sequence(argument[3], at)
        if operation in (c.MAX_REPEAT, c.MIN_REPEAT):
            least, most, inner = argument
            return self._repeated(at, inner, int(least), None if most is c.MAXREPEAT else int(most))
        raise _NotRegularError

    def _repeated(self, at: int, inner: Sequence[Any], least: int, most: int | None) -> int:
        if least > _MOST_STATES:
            raise _NotRegularError
        for _ in range(least):
            at = self._sequence(inner, at)
        to = self._state()
        if most is None:
            loop = self._entered(at)
            self._empty[self._sequence(inner, loop)].append((loop, ""))
            self._empty[loop].append((to, ""))
            return to
        for _ in range(most - least):
            self._empty[at].append((to, ""))
            at = self._sequence(inner, self._entered(at))
        self._empty[at].append((to, ""))
        return to

    def _entered(self, at: int) -> int:
        to = self._state()
        self._empty[at].append((to, ""))
        return to


def _characters(operation: Any, argument: Any) -> Ranges:
    if operation is c.LITERAL:
        return ((argument, argument),)
    if operation is c.NOT_LITERAL:
        return _others(((argument, argument),))
    if operation is c.ANY:
        return _others(((0x0A, 0x0A),))
    negated = argument[0][0] is c.NEGATE
    found: list[tuple[int, int]] = []
    for kind, value in argument[1:] if negated else argument:
        if kind is c.LITERAL:
            found.append((value, value))
        elif kind is c.RANGE:
            found.append(tuple(value))
        elif kind is c.CATEGORY and value in _CATEGORIES:
            found += _CATEGORIES[value]
        else:
            raise _NotRegularError
    return _others(tuple(found)) if negated else tuple(found)


def _others(ranges: Ranges) -> Ranges:
    made, low = [], 0
    for first, last in sorted(ranges):
        if low < first:
            made.append((low, first - 1))
        low = max(low, last + 1)
    return (*made, (low, _LAST)) if low <= _LAST else tuple(made)


_CATEGORIES: dict[Any, Ranges] = {
    c.CATEGORY_DIGIT: _DIGITS,
    c.CATEGORY_NOT_DIGIT: _others(_DIGITS),
    c.CATEGORY_SPACE: _SPACES,
    c.CATEGORY_NOT_SPACE: _others(_SPACES),
    c.CATEGORY_WORD: _WORDS,
    c.CATEGORY_NOT_WORD: _others(_WORDS),
}


def _letters(ranges: list[tuple[int, int]]) -> list[str]:
    """A character of each class that no expression tells apart within, the plainest first."""
    edges = sorted({0, 0xD800, 0xE000, _LAST + 1, *(low for low, _ in ranges), *(high + 1 for _, high in ranges)})
    made = []
    for low, after in pairwise(edges):
        if not 0xD800 <= low < 0xE000:  # halves of surrogate pairs are no characters
            made.append(next((letter for letter in _PLAINEST if low <= ord(letter) < after), chr(low)))
    return sorted(made, key=lambda letter: (_PLAINEST.find(letter) % 99, not letter.isprintable(), letter))
