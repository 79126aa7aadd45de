"""Keywords that limit a value by itself: bounds, lengths, patterns and formats. Items and properties are compared elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from typing import Any

from fastness.tool.contract.dialect import Schema, Space
from fastness.tool.contract.verdict import values as make
from fastness.tool.contract.verdict.branches import Branch
from fastness.tool.contract.verdict.differences import Difference, Lazy
from fastness.tool.contract.verdict.languages import Strings, escape
from fastness.tool.contract.verdict.patterns import matches_all

_OF_STRINGS = {"pattern": "pattern", "minLength": "least", "maxLength": "most"}


def limits(space: Space, sent: Branch, taken: Branch) -> Iterator[Difference]:
    """Where the keywords of one alternative leave more than those of another of the same type."""
    mine, theirs = sent.keywords, taken.keywords
    outside = Lazy(lambda: make.outside(sent, taken))
    if sent.type == "number" and taken.type == "integer":
        step = mine.get("multipleOf")
        if not (step and float(step).is_integer()):
            yield Difference((), "type", "narrowed", "type", "number", "integer", outside)
    for low, over, sign in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        one, other = _bound(mine, low, over, sign), _bound(theirs, low, over, sign)
        if other is not None and (one is None or one < other):
            limit = _first(theirs, low, over)
            near = chain((limit - sign, limit, limit - sign / 2), outside)
            yield Difference((), "number", "narrowed", low, _first(mine, low, over), limit, tuple(islice(near, 24)))
    step, wanted = mine.get("multipleOf"), theirs.get("multipleOf")
    if wanted and not (step and _multiple(step, wanted)) and not (sent.type == "integer" and _multiple(1, wanted)):
        yield Difference((), "number", "narrowed", "multipleOf", step, wanted, outside)
    yield from _sizes(space, sent, taken, outside)
    if theirs.get("uniqueItems") and not mine.get("uniqueItems") and mine.get("maxItems", 2) > 1:
        item = Schema(space, make.item_node(sent, 0))
        twice = Lazy(lambda: ([value, value] for value in islice(make.examples(item, 1), 2)))
        yield Difference((), "items", "narrowed", "uniqueItems", False, True, twice)
    for name in ("pattern", "format"):
        limits_nothing = name == "pattern" and matches_all(str(theirs.get(name, "")))
        if name in theirs and mine.get(name) != theirs[name] and not limits_nothing:
            difference = Difference((), name, "narrowed", name, mine.get(name), theirs[name], outside)
            yield from _escaping(sent, difference) if name == "pattern" else [difference]


def _escaping(sent: Branch, difference: Difference) -> list[Difference]:
    """The difference in a keyword of strings, with the first string that shows it; [] when it is proven that none does."""
    name, limit, outside = difference.what, difference.taken, difference.candidates
    keywords = sent.keywords
    all_sent = Strings(keywords.get("pattern"), keywords.get("minLength", 0), keywords.get("maxLength"))
    found = escape(all_sent, Strings()._replace(**{_OF_STRINGS[name]: limit}))
    if found is True:
        return []
    return [difference if found is None else replace(difference, candidates=Lazy(lambda: chain((found,), outside)))]


def _sizes(space: Space, sent: Branch, taken: Branch, outside: Lazy) -> Iterator[Difference]:
    mine, theirs = sent.keywords, taken.keywords
    for name in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
        sign = 1 if name.startswith("min") else -1
        if name not in theirs or (name in mine and mine[name] * sign >= theirs[name] * sign):
            continue
        if sign == 1 and theirs[name] <= (len(set(mine.get("required", ()))) if name == "minProperties" else 0):
            continue
        sized = outside if sent.type == "string" else Lazy(partial(_sized, space, sent, name, theirs[name]))
        difference = Difference((), "length", "narrowed", name, mine.get(name), theirs[name], sized)
        yield from _escaping(sent, difference) if "pattern" in mine and sent.type == "string" else [difference]


def _sized(space: Space, sent: Branch, name: str, limit: int) -> Iterator[Any]:
    if limit > 2000:
        return
    if name.endswith("Items"):
        size = limit - 1 if name == "minItems" else limit + 1
        made = make.array(space, at_least(sent, max(size, sent.keywords.get("minItems", 0))), [])
        if made is not None:
            yield made[: max(size, sent.keywords.get("minItems", 0))]
    else:
        size = 0 if name == "minProperties" else limit + 1
        keywords = {**sent.keywords, "minProperties": max(size, sent.keywords.get("minProperties", 0))}
        yield make.object_with(space, replace(sent, keywords=keywords), {})


def at_least(branch: Branch, size: int) -> Branch:
    return replace(branch, keywords={**branch.keywords, "minItems": max(size, branch.keywords.get("minItems", 0))})


def _bound(keywords: dict[str, Any], inclusive: str, exclusive: str, sign: int) -> tuple[Any, int] | None:
    """A lower bound that compares with others; `sign` -1 turns an upper one round."""
    found = []
    if inclusive in keywords:
        found.append((keywords[inclusive] * sign, 0))
    if exclusive in keywords:
        found.append((keywords[exclusive] * sign, 1))
    return max(found, default=None)


def _first(keywords: dict[str, Any], *names: str) -> Any:
    return next((keywords[name] for name in names if name in keywords), None)


def _multiple(value: Any, of: Any) -> bool:
    # As they are written: 0.3 is a multiple of 0.1, and 1e-10 is none of 1.
    return (Fraction(str(value)) / Fraction(str(of))).denominator == 1
