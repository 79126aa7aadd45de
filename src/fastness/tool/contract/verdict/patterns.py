"""Strings that match a regular expression, made from its syntax tree. Whether they match is for a validator to say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_LETTERS = "a0A_- z9Z.+/@:é~!\n"
_CLASSES = {
    c.CATEGORY_DIGIT: "0",
    c.CATEGORY_NOT_DIGIT: "a",
    c.CATEGORY_SPACE: " ",
    c.CATEGORY_NOT_SPACE: "a",
    c.CATEGORY_WORD: "a",
    c.CATEGORY_NOT_WORD: "-",
}
_LONGEST = 4096


@lru_cache(maxsize=1024)
def samples(pattern: str, least: int = 0) -> tuple[str, ...]:
    """A few strings that should match: short, longer, and with other choices at alternatives; () when it cannot be read.

    Args:
        least: repeat until a string has this many characters, where the expression lets it.
    """
    try:
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return ()
    made: dict[str, None] = {}
    for extra, choice in ((0, 0), (0, 1), (1, 0), (1, 2), (max(least, 1), 0)):
        try:
            made.setdefault("".join(islice(_generate(tree, extra, choice), _LONGEST)))
        except (RecursionError, NotImplementedError):
            continue
    return tuple(made)


def matches_all(pattern: str) -> bool:
    """Whether every string matches, because the expression finds nothing in any: `.*`, `^`, `a?`."""
    try:
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    parts = list(tree)
    if parts and parts[0] == (c.AT, c.AT_BEGINNING):
        parts = parts[1:]
    elif parts and parts[-1] == (c.AT, c.AT_END):
        parts = parts[:-1]
    return all(operation is c.MAX_REPEAT and argument[0] == 0 for operation, argument in parts)


def _generate(tree: Sequence[Any], extra: int, choice: int) -> Iterator[str]:
    for operation, argument in tree:
        yield from _one(operation, argument, extra, choice)


def _one(operation: Any, argument: Any, extra: int, choice: int) -> Iterator[str]:
    if operation is c.LITERAL:
        yield chr(argument)
    elif operation is c.NOT_LITERAL:
        yield next(letter for letter in _LETTERS if ord(letter) != argument)
    elif operation is c.ANY:
        yield _LETTERS[choice]
    elif operation is c.IN:
        yield _member(argument, choice)
    elif operation is c.BRANCH:
        alternatives = argument[1]
        yield from _generate(alternatives[choice % len(alternatives)], extra, choice)
    elif operation is c.SUBPATTERN:
        yield from _generate(argument[3], extra, choice)
    elif operation in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        least, most, inner = argument
        for _ in range(min(int(least) + extra, int(most), _LONGEST)):
            empty = True
            for letter in _generate(inner, min(extra, 1), choice):
                empty = False
                yield letter
            if empty:
                break  # repeated as often as one likes, nothing stays nothing
    elif operation not in (c.AT, c.ASSERT, c.ASSERT_NOT):
        raise NotImplementedError(str(operation))


def _member(items: Sequence[Any], choice: int) -> str:
    negated = bool(items) and items[0][0] is c.NEGATE
    if negated:
        return next((letter for letter in _LETTERS if not _among(items[1:], letter)), "\x7f")
    operation, argument = items[choice % len(items)]
    if operation is c.LITERAL:
        return chr(argument)
    if operation is c.RANGE:
        return chr(min(argument[0] + choice, argument[1]))
    return _CLASSES[argument]


def _among(items: Sequence[Any], letter: str) -> bool:
    for operation, argument in items:
        if operation is c.LITERAL and ord(letter) == argument:
            return True
        if operation is c.RANGE and argument[0] <= ord(letter) <= argument[1]:
            return True
        if operation is c.CATEGORY and _in_category(argument, letter):
            return True
    return False


def _in_category(category: Any, letter: str) -> bool:
    kind = {
        c.CATEGORY_DIGIT: letter.isdigit(),
        c.CATEGORY_NOT_DIGIT: not letter.isdigit(),
        c.CATEGORY_SPACE: letter.isspace(),
        c.CATEGORY_NOT_SPACE: not letter.isspace(),
        c.CATEGORY_WORD: letter.isalnum() or letter == "_",
    }
    return kind.get(category, not (letter.isalnum() or letter == "_"))
