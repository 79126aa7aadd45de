"""A schema taken apart: its alternatives, each of one JSON type, with everything that `allOf` and `$ref` add to it.

The union of the branches is the schema. What cannot be merged into keywords stays beside them as `rest`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastness.tool.contract.dialect import Node, Schema, Space, key

ALL_TYPES = ("string", "number", "boolean", "null", "array", "object")
OF_TYPE = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength", "pattern", "format", "contentSchema"),
    "array": (
        "minItems",
        "maxItems",
        "uniqueItems",
        "items",
        "prefixItems",
        "contains",
        "minContains",
        "maxContains",
    ),
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
    ),
}
_KEYWORDS = frozenset(name for names in OF_TYPE.values() for name in names)
_REST = ("not", "if", "then", "else")
_GREATEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_LEAST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_READERS = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
    "contains": ("contains", "minContains", "maxContains"),
}
_UNEVALUATED = {
    "unevaluatedProperties": ("additionalProperties", frozenset({"patternProperties", "dependentSchemas"})),
    "unevaluatedItems": ("items", frozenset({"contains"})),
}
"""The general keyword of each, and neighbours whose part in it branches do not show."""
_MOST_BRANCHES = 256


class NotTakenApartError(Exception):
    """The alternatives are too many, or depend on each other in a way that branches cannot show."""


@dataclass(slots=True)
class Branch:
    """One alternative.

    Attributes:
        type: a JSON type, or "integer".
        keywords: those that constrain the type, normalised.
        enum: the only values, or None.
        rest: schemas that hold as well and could not be merged.
        label: the component that it came from, "" when written in place.
    """

    type: str
    keywords: dict[str, Any]
    enum: list[Any] | None = None
    rest: list[Node] = field(default_factory=list)
    label: str = ""

    @property
    def node(self) -> dict[str, Any]:
        """The alternative as a schema."""
        made: dict[str, Any] = {"type": self.type, **self.keywords}
        if self.enum is not None:
            made["enum"] = self.enum
        if self.rest:
            made["allOf"] = list(self.rest)
        return made


class _Never:
    """No value is one."""


@dataclass(slots=True)
class _Part:
    types: frozenset[str] | None = None
    keywords: dict[str, Any] = field(default_factory=dict)
    enum: list[Any] | None = None
    rest: list[Node] = field(default_factory=list)
    label: str = ""
    chosen: bool = False  # one of several that a value may be all of


def branches(schema: Schema) -> list[Branch]:
    """The alternatives of a schema; [] when it admits nothing.

    Raises:
        NotTakenApartError: there are more than 256, or a keyword looks at what others have evaluated.
    """
    found: list[Branch] = []
    for part in _expand(schema.space, schema.node, ()):
        for kind in ALL_TYPES if part.types is None else sorted(part.types, key=_order):
            enum = part.enum
            if enum is not None:
                enum = [value for value in enum if is_type(value, kind)]
                if not enum:
                    continue
            names = OF_TYPE.get(kind, ())
            keywords = {name: value for name, value in part.keywords.items() if name in names}
            found.append(Branch(kind, keywords, enum, part.rest, part.label))
    return found


def is_type(value: Any, kind: str) -> bool:
    """Whether a JSON value is of a JSON type."""
    if isinstance(value, str):
        return kind == "string"
    if isinstance(value, bool):
        return kind == "boolean"
    if value is None:
        return kind == "null"
    if isinstance(value, int | float):
        return kind == "number" or (kind == "integer" and (isinstance(value, int) or value.is_integer()))
    return isinstance(value, {"array": list, "object": dict}.get(kind, _Never))


def exclusive(schema: Schema, seen: tuple[str, ...] = ()) -> bool:
    """Whether a `oneOf` with several alternatives takes part in the schema at its own level."""
    node = schema.node
    if isinstance(node, bool):
        return False
    if len(node.get("oneOf", ())) > 1:
        return True
    reference = node.get("$ref")
    inner = [*node.get("allOf", ()), *node.get("anyOf", ()), *node.get("oneOf", ())]
    if reference is not None and reference not in seen:
        seen = (*seen, reference)
        inner.append(schema.space.target(reference))
    return any(exclusive(Schema(schema.space, member), seen) for member in inner)


def _order(kind: str) -> int:
    return ALL_TYPES.index("number" if kind == "integer" else kind)


def _expand(space: Space, node: Node, seen: tuple[str, ...]) -> list[_Part]:
    if isinstance(node, bool):
        return [_Part()] if node else []
    parts = [_own(node)]
    reference = node.get("$ref")
    if reference is not None:
        if reference in seen:  # it only says of itself what it says already
            return parts
        target = _expand(space, space.target(reference), (*seen, reference))
        label = str(reference).rpartition("/")[2]
        for part in target:
            part.label = part.label or label
        parts = _product(parts, target)
    for member in node.get("allOf", ()):
        parts = _product(parts, _expand(space, member, seen))
    for name in ("anyOf", "oneOf"):
        if name in node:
            union = [part for member in node[name] for part in _expand(space, member, seen)]
            for part in union:
                part.chosen = part.chosen or (name == "anyOf" and len(node[name]) > 1)
            parts = _product(parts, union)
    for name, (general, readers) in _UNEVALUATED.items():
        for part in parts if name in node else ():
            _unevaluated(part, name, node[name], general, readers)
    return parts


def _unevaluated(part: _Part, name: str, rest: Node, general: str, readers: frozenset[str]) -> None:
    """What nobody spoke of: once everything is in one alternative, that is what its general keyword is for."""
    if general in part.keywords:
        return  # it spoke of all
    if part.chosen or part.rest or readers & part.keywords.keys():
        raise NotTakenApartError(name)
    part.keywords[general] = rest


def _own(node: dict[str, Any]) -> _Part:
    kind = node.get("type")
    types = None if kind is None else frozenset([kind] if isinstance(kind, str) else kind)
    if types is not None and {"number", "integer"} <= types:
        types -= {"integer"}
    enum = [node["const"]] if "const" in node else None
    if "enum" in node:
        enum = node["enum"] if enum is None else [value for value in node["enum"] if key(value) == key(enum[0])]
    keywords = {name: value for name, value in node.items() if name in _KEYWORDS}
    rest = [{name: node[name] for name in _REST if name in node}] if any(name in node for name in _REST) else []
    return _Part(types, keywords, enum, list(rest))


def _product(first: list[_Part], second: list[_Part]) -> list[_Part]:
    if len(first) * len(second) > _MOST_BRANCHES:
        raise NotTakenApartError(f"more than {_MOST_BRANCHES} alternatives")
    merged = [_merge(one, other) for one in first for other in second]
    return [part for part in merged if part is not None]


def _merge(one: _Part, other: _Part) -> _Part | None:
    types = _common_types(one.types, other.types)
    if types is not None and not types:
        return None
    enum = one.enum if other.enum is None else other.enum
    if one.enum is not None and other.enum is not None:
        allowed = {key(value) for value in other.enum}
        enum = [value for value in one.enum if key(value) in allowed]
        if not enum:
            return None
    made = _Part(types, {}, enum, [*one.rest, *other.rest], one.label or other.label, one.chosen or other.chosen)
    left, right = _apart(one.keywords, other.keywords, made.rest)
    made.keywords = dict(left)
    for name, value in right.items():
        made.keywords[name] = _both(name, made.keywords[name], value, made.rest) if name in made.keywords else value
    return made


def _common_types(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    common = one & other
    if "integer" in one | other and "number" in one | other:
        common = (common - {"number"}) | {"integer"}
    return common


def _apart(one: dict[str, Any], other: dict[str, Any], rest: list[Node]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords that look at their neighbours, where merging would change the neighbours, go to the rest as they were."""
    kept = []
    for mine, theirs in ((one, other), (other, one)):
        moved = set()
        for reader, neighbours in _READERS.items():
            if reader in mine and any(name in theirs and theirs[name] != mine.get(name) for name in neighbours):
                rest.append({name: mine[name] for name in (reader, *neighbours) if name in mine})
                moved |= {reader, *(name for name in neighbours if name.endswith("Contains"))}
        kept.append({name: value for name, value in mine.items() if name not in moved})
    return kept[0], kept[1]


def _both(name: str, one: Any, other: Any, rest: list[Node]) -> Any:
    if key(one) == key(other):
        return one
    if name in _COMBINED:
        return _COMBINED[name](one, other)
    rest.append({name: other})
    return one


def _properties(one: dict[str, Node], other: dict[str, Node]) -> dict[str, Node]:
    return {**one, **{name: _all_of(one[name], node) if name in one else node for name, node in other.items()}}


def _all_of(one: Node, other: Node) -> Node:
    if one is True or other is True:
        return other if one is True else one
    return one if key(one) == key(other) else {"allOf": [one, other]}


_COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_GREATEST, max),
    **dict.fromkeys(_LEAST, min),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contentSchema"), _all_of),
    **dict.fromkeys(("properties", "patternProperties"), _properties),
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "uniqueItems": lambda one, other: bool(one) or bool(other),
}
"""How one keyword says what two said."""
