"""Which schemas of two objects may speak of properties of the same name, where names are told by patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastness.tool.contract.dialect import Node
from fastness.tool.contract.verdict.patterns import samples


class Meeting(NamedTuple):
    """What is sent and what is taken at names that a pattern tells, and a few such names."""

    names: tuple[str, ...]
    sent: Node
    taken: Node


def meetings(sent: dict[str, Any], taken: dict[str, Any]) -> Iterator[Meeting]:
    """Pairs of a schema of what is sent and one of what is taken that a property may have to do with.

    Rather too many than too few: when each receiver takes what its sender sends, the objects fit, as far as patterns go.
    Properties that both declare by name are not among them.
    """
    mine, theirs = sent.get("patternProperties", {}), taken.get("patternProperties", {})
    rest = sent.get("additionalProperties", True)
    for pattern, node in theirs.items():
        named = ((name, inner) for name, inner in sent.get("properties", {}).items() if _matches(pattern, name))
        yield from (Meeting((name,), inner, node) for name, inner in named)
        for other, inner in mine.items():
            if other == pattern or pattern not in mine:
                yield Meeting(samples(other), inner, node)
        if pattern not in mine:
            yield Meeting(samples(pattern), rest, node)
    for pattern, node in mine.items():
        named = ((name, inner) for name, inner in taken.get("properties", {}).items() if _matches(pattern, name))
        yield from (Meeting((name,), node, inner) for name, inner in named)
        if pattern not in theirs:
            yield Meeting(samples(pattern), node, taken.get("additionalProperties", True))


def _matches(pattern: str, name: str) -> bool:
    try:
        # ECMA-262 has letters and digits in ASCII, and spaces in Unicode.
        return any(re.search(pattern, name, flag) for flag in (re.ASCII, re.UNICODE))
    except (re.error, RecursionError):
        return True
