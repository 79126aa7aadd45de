"""Values that a schema admits, made on purpose: few, small, and close to the limits of another schema.

What is made here is a proposal. Only a validator says whether a schema takes a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from fastness.tool.contract.dialect import JSON, Node, Schema, Space
from fastness.tool.contract.verdict.branches import Branch, NotTakenApartError, branches
from fastness.tool.contract.verdict.patterns import samples

_FORMATS: dict[str, tuple[str, ...]] = {
    "date-time": ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+02:00"),
    "date": ("2026-01-31",),
    "time": ("12:00:00Z",),
    "duration": ("P1D", "PT5S"),
    "email": ("someone@example.com",),
    "idn-email": ("someone@example.com",),
    "hostname": ("example.com",),
    "idn-hostname": ("example.com",),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1",),
    "ipvanyaddress": ("192.0.2.1",),
    "uri": ("https://example.com/x",),
    "uri-reference": ("/x", "https://example.com/x"),
    "iri": ("https://example.com/x",),
    "iri-reference": ("/x",),
    "uri-template": ("/x/{y}",),
    "uuid": ("5f0c6a4e-0d5b-4f7c-9a3e-3f2b1c0d9e8f",),
    "uuid4": ("5f0c6a4e-0d5b-4f7c-9a3e-3f2b1c0d9e8f",),
    "json-pointer": ("/x",),
    "relative-json-pointer": ("1/x",),
    "regex": ("a+",),
    "json-string": ("{}",),
    JSON: ("{}", "1"),
    "decimal": ("1.5",),
    "path": ("/srv/x",),
    "multi-host-uri": ("https://example.com/x",),
}
FREE = {"string": "text", "number": 1.5, "integer": 1, "boolean": True, "null": None, "array": [], "object": {}}
_DEEPEST = 24
_LONGEST = 20_000
_MOST_ITEMS = 1000
_MOST_PARTS = 1000


def examples(schema: Schema, depth: int = 0) -> Iterator[Any]:
    """Values for a schema, the plainest first."""
    if depth > _DEEPEST or _least(schema.space, schema.node) > _MOST_PARTS:
        return
    try:
        found = branches(schema)
    except (NotTakenApartError, RecursionError):
        return
    later = []
    for branch in found:
        values = of_branch(schema.space, branch, depth)
        yield from islice(values, 1)
        later.append(values)
    for values in later:
        yield from islice(values, 8)


def _least(space: Space, node: Node) -> int:
    """How many parts a value has to have, up to a little more than `_MOST_PARTS`: what requires two of itself is never made."""
    if isinstance(node, bool):
        return 1
    total = 1
    if "$ref" in node:
        reference = node["$ref"]
        if reference not in space.sizes:
            space.sizes[reference] = _MOST_PARTS + 1  # until it is known: who needs itself has no end
            space.sizes[reference] = _least(space, space.target(reference))
        total += space.sizes[reference]
    properties = node.get("properties", {})
    for name in node.get("required", ()) if isinstance(properties, dict) else ():
        total += _least(space, properties.get(name, True)) if isinstance(name, str) else 1
    size = node.get("minItems", 0)
    if isinstance(size, int) and size > 0 and "items" in node:
        part = _least(space, node["items"])
        total += size * part if part > 1 else 1
    total += sum(_least(space, member) for member in node.get("allOf", ()))
    for key in ("anyOf", "oneOf"):
        total += min((_least(space, member) for member in node.get(key, ())), default=0)
    return min(total, _MOST_PARTS + 1)


def first(schema: Schema, depth: int = 0) -> Any:
    """One value; raises LookupError when none was found. It is shared: nobody changes what is in a value."""
    node = schema.node
    reference = node["$ref"] if isinstance(node, dict) and len(node) == 1 and "$ref" in node else ""
    if reference in schema.space.firsts:
        return schema.space.firsts[reference]
    for value in examples(schema, depth):
        if reference:
            schema.space.firsts[reference] = value
        return value
    raise LookupError


def of_branch(space: Space, branch: Branch, depth: int = 0) -> Iterator[Any]:
    """Values for one alternative."""
    if branch.enum is not None:
        yield from branch.enum
        return
    match branch.type:
        case "string":
            yield from _documents(space, branch, depth) if "contentSchema" in branch.keywords else _strings(branch)
        case "number" | "integer":
            yield from numbers(branch.keywords, integer=branch.type == "integer")
        case "array":
            yield from _arrays(space, branch, depth)
        case "object":
            yield from _objects(space, branch, depth)
        case "boolean":
            yield from (True, False)
        case _:
            yield None


def _strings(branch: Branch) -> Iterator[str]:
    keywords = branch.keywords
    least, most = keywords.get("minLength", 0), keywords.get("maxLength", _LONGEST)
    if least > _LONGEST:
        return
    of_format = _FORMATS.get(keywords.get("format", ""), ())
    if "pattern" in keywords:
        for text in samples(keywords["pattern"], least):
            if least <= len(text) <= most:
                yield text
        yield from of_format
        return
    if of_format:
        yield from of_format
        if least:  # a longer one, where what comes last may be as long as one likes
            yield from (text + "x" * (least - len(text)) for text in of_format)
        return
    plain = "text" + "x" * max(0, least - 4)
    yield plain[: max(least, min(most, len(plain)))]
    if least == 0:
        yield ""
    yield "é" * max(least, 1)


def _documents(space: Space, branch: Branch, depth: int) -> Iterator[str]:
    """Strings that are JSON documents."""
    for value in examples(Schema(space, branch.keywords["contentSchema"]), depth + 1):
        yield json.dumps(value)


def numbers(keywords: dict[str, Any], *, integer: bool) -> Iterator[Any]:
    """Numbers within bounds, from the plainest to the outermost."""
    low, high = keywords.get("minimum"), keywords.get("maximum")
    over, under = keywords.get("exclusiveMinimum"), keywords.get("exclusiveMaximum")
    step = keywords.get("multipleOf")
    proposals: list[Any] = [1, 0, 2, -1]
    for bound in (low, over, high, under):
        if bound is not None:
            proposals += [bound, _plus(bound, 1), _plus(bound, -1)]
            if not integer:
                proposals += [_plus(bound, 0.5), _plus(bound, -0.5)]
    if low is not None and high is not None:
        proposals.append((low + high) / 2)
    if step:
        proposals = [round(value / step) * step for value in proposals] + [step]
    elif not integer:
        proposals += [1.5, 0.25]
    for value in proposals:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if integer and not isinstance(whole, int):
            continue
        inside = (low is None or whole >= low) and (high is None or whole <= high)
        if inside and (over is None or whole > over) and (under is None or whole < under):
            yield whole


def _plus(value: Any, step: float) -> Any:
    return value + step if abs(value) < 2**53 or isinstance(step, int) else value


def _arrays(space: Space, branch: Branch, depth: int) -> Iterator[list[Any]]:
    least = branch.keywords.get("minItems", 0)
    if "contains" in branch.keywords:
        least = max(least, branch.keywords.get("minContains", 1))
    base = array(space, branch, [], depth)
    if base is not None:
        yield base
    item = item_node(branch, least)
    if item is False or len(branch.keywords.get("prefixItems", ())) > least:
        return
    for value in islice(examples(Schema(space, item), depth + 1), 3):
        filled = array(space, branch, [value], depth)
        if filled is not None:
            yield filled


def array(space: Space, branch: Branch, values: list[Any], depth: int = 0) -> list[Any] | None:
    """An array of the alternative that begins with `values`; None when it cannot be filled up."""
    keywords = branch.keywords
    least = keywords.get("minItems", 0)
    contained: list[Any] = []
    if max(least, keywords.get("minContains", 0)) > _MOST_ITEMS:
        return None
    if "contains" in keywords:
        wanted = {"allOf": [item_node(branch, len(values)), keywords["contains"]]}
        contained = list(islice(examples(Schema(space, wanted), depth + 1), 1))
        contained = contained * keywords.get("minContains", 1)
        least = max(least, len(values) + len(contained))
    made = list(values)
    while len(made) < least:
        index = len(made)
        if contained and least - index <= len(contained):
            made.append(contained.pop())
            continue
        pool = examples(Schema(space, item_node(branch, index)), depth + 1)
        unique = keywords.get("uniqueItems")
        found = next((value for value in islice(pool, 16) if not unique or value not in made), _NOTHING)
        if found is _NOTHING:
            found = _distinct(made, item_node(branch, index)) if unique else _NOTHING
        if found is _NOTHING:
            return None
        made.append(found)
    return made


_NOTHING = object()


def _distinct(made: list[Any], node: Node) -> Any:
    kind = "string" if node is True else node.get("type") if isinstance(node, dict) else None
    if kind == "string":
        return f"text{len(made)}"
    return len(made) + 100 if kind in ("integer", "number") else _NOTHING


def item_node(branch: Branch, index: int) -> Node:
    """The schema of the item at `index`."""
    prefix = branch.keywords.get("prefixItems", ())
    if index < len(prefix):
        node: Node = prefix[index]
        return node
    items: Node = branch.keywords.get("items", True)
    return items


def _objects(space: Space, branch: Branch, depth: int) -> Iterator[dict[str, Any]]:
    bare = object_with(space, branch, {}, depth)
    if bare is None:
        return
    yield bare
    properties = branch.keywords.get("properties", {})
    full = dict(bare)
    for name, node in properties.items():
        if name in bare:
            continue
        for value in islice(examples(Schema(space, node), depth + 2), 1):
            full[name] = value
            yield {**bare, name: value}
    yield full
    for name in bare:
        node = properties.get(name, True)
        for value in islice(examples(Schema(space, node), depth + 2), 1, 3):
            yield {**bare, name: value}


def object_with(space: Space, branch: Branch, values: dict[str, Any], depth: int = 0) -> dict[str, Any] | None:
    """An object of the alternative with `values` in it and what else is required; None when something cannot be made."""
    made = dict(values)
    wanted = list(branch.keywords.get("required", ()))
    for name in list(made):
        wanted += branch.keywords.get("dependentRequired", {}).get(name, ())
    for name in wanted:
        if name in made:
            continue
        try:
            made[name] = first(Schema(space, property_node(branch, name)), depth + 1)
        except LookupError:
            return None
    least = branch.keywords.get("minProperties", 0)
    for name in chain(branch.keywords.get("properties", {}), (f"extra{i}" for i in range(64))) if len(made) < least else ():
        if len(made) >= least:
            break
        if name in made:
            continue
        node = property_node(branch, name)
        for value in islice(examples(Schema(space, node), depth + 1), 1):
            made[name] = value
    return made


def property_node(branch: Branch, name: str) -> Node:
    """The schema of a property as far as its name tells."""
    found: Node = branch.keywords.get("properties", {}).get(name, branch.keywords.get("additionalProperties", True))
    return found


def outside(branch: Branch, other: Branch) -> Iterator[Any]:
    """Values of one alternative next to the limits of another of the same type."""
    mine, theirs = branch.keywords, other.keywords
    if branch.enum is not None:
        yield from branch.enum
        return
    if branch.type in ("number", "integer"):
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if bound in theirs:
                limit = theirs[bound]
                yield from (limit, _plus(limit, 1), _plus(limit, -1))
                if branch.type == "number":
                    yield from (_plus(limit, 0.5), _plus(limit, -0.5), _plus(limit, 0.001), _plus(limit, -0.001))
        yield from numbers(mine, integer=branch.type == "integer")
        if branch.type == "number":
            low, high = mine.get("minimum", mine.get("exclusiveMinimum")), mine.get("maximum", mine.get("exclusiveMaximum"))
            yield from (value for value in (0.5, 1.5, -0.5) if low is None and high is None)
            if low is not None and high is not None:
                yield low + (high - low) / 3
        yield from (1, 2, 3, 5, 7, 0, -1)
    elif branch.type == "string":
        for size in (theirs.get("minLength", 0) - 1, theirs.get("maxLength", -2) + 1):
            if 0 <= size <= _LONGEST:
                sized = replace(branch, keywords={**mine, "minLength": max(size, mine.get("minLength", 0))})
                yield from _strings(sized)
                yield "x" * size
        yield from _strings(branch)
        yield from ("", "text", "0", "-1", "é", " ", "A", "a", "a b", "new\nline", "~", "2026-01-31", "@")
