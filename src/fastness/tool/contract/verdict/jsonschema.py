"""The only door to jsonschema-rs: validation, containment and difference of schemas. It decides nothing by itself.

The library compares schemas as sets of values. A contract is read with one addition, which `_close` writes into the sender's
schema: a name that only the receiver declares is not sent, unless the sender says `additionalProperties` itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
from jsonschema_rs.canonical import CanonicalizationError, Containment

from fastness.tool.contract.dialect import JSON, LISTS, MAPS, SINGLES, Direction, Node, Schema, Space, subschemas
from fastness.tool.contract.verdict.weights import Weights

_LARGEST = 4000  # nodes of a schema with its references in place
_DECLARING_MAPS = ("properties", "patternProperties")
_OPTIONS: dict[str, Any] = {
    "draft": jsonschema_rs.Draft202012,
    "validate_formats": True,
    "offline": True,
}


class _TooLargeError(Exception):
    pass


class Library:
    """What the library says about schemas, each question asked once."""

    def __init__(self) -> None:
        self._definitions: dict[int, _Definitions] = {}
        self._weights: dict[int, Weights] = {}
        self._validators: dict[tuple[int, int], jsonschema_rs.Validator | None] = {}
        self._covers: dict[tuple[int, int], bool] = {}
        self._inlined: dict[tuple[int, int], Node | None] = {}
        self._kept: list[Any] = []

    def accepts(self, schema: Schema, value: Any) -> bool | None:
        """Whether a value is valid; None when the schema cannot be used for validation."""
        known = (id(schema.space), id(schema.node))
        if known not in self._validators:
            self._kept.append(schema)
            definitions = self._definitions.setdefault(id(schema.space), _Definitions(schema.space))
            self._validators[known] = definitions.validator(schema.node) if self.bearable(schema) else None
        validator = self._validators[known]
        if validator is None:
            return None
        try:
            return validator.is_valid(value)
        except (ValueError, OverflowError):
            return None

    def bearable(self, schema: Schema) -> bool:
        """Whether anything can be done with the schema in time: see `weights`."""
        weights = self._weights.get(id(schema.space))
        if weights is None:
            self._kept.append(schema.space)
            weights = self._weights[id(schema.space)] = Weights(schema.space)
        return weights.bearable(schema.node)

    def usable(self, schema: Schema) -> bool:
        """Whether the schema is one at all."""
        return self.accepts(schema, None) is not None

    def covers(self, sender: Schema, receiver: Schema) -> bool:
        """Whether it is proven that the receiver takes whatever the sender sends."""
        known = (id(sender.node), id(receiver.node))
        if known not in self._covers:
            self._kept += [sender, receiver]
            pair = self._canonical(sender, receiver)
            try:
                self._covers[known] = pair is not None and pair[1].covers(pair[0]) is Containment.YES
            except CanonicalizationError:
                self._covers[known] = False
        return self._covers[known]

    def remainder(self, sender: Schema, receiver: Schema) -> Schema | None:
        """What the sender sends and the receiver refuses, as a schema; None when it cannot be expressed."""
        pair = self._canonical(sender, receiver)
        if pair is None:
            return None
        try:
            made = pair[0].subtract(pair[1]).to_json_schema()
        except CanonicalizationError:
            return None
        if not isinstance(made, dict):
            return None
        made.pop("$schema", None)
        space = Space({}, sender.space.direction, old=sender.space.old, three_zero=False)
        return space.schema(made)

    def _canonical(
        self, sender: Schema, receiver: Schema
    ) -> tuple[jsonschema_rs.CanonicalSchema, jsonschema_rs.CanonicalSchema] | None:
        first, second = self._inline(sender), self._inline(receiver)
        if first is None or second is None:
            return None
        names = set(_names(second))
        # A server that documents the properties of its answer sends those. That only matters to who rules others out.
        free = sender.space.direction is Direction.REQUEST or not any(_level(node)[1] for node in _below(second))
        closed = _close(first, names, frozenset(), free=free)
        try:
            return jsonschema_rs.canonicalize(closed, **_OPTIONS), jsonschema_rs.canonicalize(second, **_OPTIONS)
        except (CanonicalizationError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
            return None

    def _inline(self, schema: Schema) -> Node | None:
        known = (id(schema.space), id(schema.node))
        if known not in self._inlined:
            self._kept.append(schema)
            try:
                self._inlined[known] = _Inliner(schema.space).inline(schema.node, ())
            except _TooLargeError:
                self._inlined[known] = None
        return self._inlined[known]


class _Definitions:
    """The components of one document as `$defs` of a validator: each is rewritten once, however many schemas refer to it."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._names: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        self._used: dict[str, list[str]] = {}
        self._formats: dict[str, Callable[[str], bool]] = {}

    def validator(self, node: Node) -> jsonschema_rs.Validator | None:
        """A validator for a schema of the document; None when it is no schema."""
        pending: list[str] = []
        whole = self._renamed(node, pending)
        found: dict[str, Node] = {}
        while pending:
            reference = pending.pop()
            if reference not in self._nodes:
                used = self._used[reference] = []
                self._nodes[reference] = self._renamed(self._space.target(reference), used)
            if self._names[reference] not in found:
                found[self._names[reference]] = self._nodes[reference]
                pending += self._used[reference]
        if isinstance(whole, dict) and found:
            # Beside `$ref` in the root, not in its place: what it holds may be a reference itself.
            whole = {"allOf": [whole], "$defs": found}
        try:
            return jsonschema_rs.Draft202012Validator(whole, validate_formats=True, offline=True, formats=self._formats or None)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
            return None

    def _renamed(self, node: Node, used: list[str]) -> Node:
        """The schema with references to `$defs`; what it refers to goes to `used`."""
        if isinstance(node, bool):
            return node
        made = _mapped(node, lambda inner: self._renamed(inner, used))
        if "$ref" in made:
            used.append(made["$ref"])
            made["$ref"] = f"#/$defs/{self._names.setdefault(made['$ref'], f'd{len(self._names)}')}"
        made.pop("contentSchema", None)
        if made.get("format") == JSON:
            made["format"] = f"{JSON}{len(self._formats)}"
            self._formats[made["format"]] = _Document(self, node.get("contentSchema", True)).holds
        return made


class _Document:
    """A string that is a JSON document: what a format is for that a validator does not know."""

    def __init__(self, definitions: _Definitions, node: Node) -> None:
        self._definitions = definitions
        self._node = node
        self._validator: jsonschema_rs.Validator | None = None
        self._made = False

    def holds(self, text: str) -> bool:
        """Whether the document can be read, and the schema admits it."""
        if not self._made:  # not before it is needed: the schema may come round to itself
            self._validator, self._made = self._definitions.validator(self._node), True
        try:
            value = json.loads(text)
            return self._validator is None or self._validator.is_valid(value)
        except (ValueError, RecursionError):
            return False


def _mapped(node: dict[str, Any], change: Callable[[Node], Node]) -> dict[str, Any]:
    """A copy with `change` applied to each schema right below."""
    made = dict(node)
    for name in MAPS:
        if name in made:
            made[name] = {inner: change(value) for inner, value in made[name].items()}
    for name in LISTS:
        if name in made:
            made[name] = [change(value) for value in made[name]]
    for name in SINGLES:
        if name in made:
            made[name] = change(made[name])
    made.pop("default", None)
    return made


class _Inliner:
    def __init__(self, space: Space) -> None:
        self._space = space
        self._size = 0

    def inline(self, node: Node, seen: tuple[str, ...]) -> Node:
        self._size += 1
        if self._size > _LARGEST or len(seen) > 64:
            raise _TooLargeError
        if isinstance(node, bool):
            return node
        reference = node.get("$ref")
        made = _mapped(node, lambda inner: self.inline(inner, seen))
        if (
            "contentSchema" in made
        ):  # the library does not look inside of strings; what is in the format it has to take as it is
            made["format"] = f"{made.get('format', '')};{json.dumps(made.pop('contentSchema'), sort_keys=True)}"
        if reference is None:
            return made
        if reference in seen:
            raise _TooLargeError  # recursive: there is no end of it
        del made["$ref"]
        target = self.inline(self._space.target(reference), (*seen, reference))
        if not made:
            return target
        return {**made, "allOf": [*made.get("allOf", ()), target]}


def _names(node: Node) -> Iterator[str]:
    """The names that a schema declares anywhere. What a condition or a negation speaks of is not declared by that."""
    pending = [node]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            yield from found.get("properties", {})
            pending.extend(inner for key in _DECLARING_MAPS for inner in found.get(key, {}).values())
            pending.extend(inner for key in LISTS for inner in found.get(key, ()))
            pending.extend(found[key] for key in ("items", "additionalProperties") if key in found)


def _below(node: Node) -> Iterator[Node]:
    yield node
    for inner in subschemas(node):
        yield from _below(inner)


def _level(node: Node) -> tuple[set[str], bool]:
    """The names that a schema declares at its own level, and whether it speaks of further ones."""
    if isinstance(node, bool):
        return set(), False
    names = {*node.get("properties", ()), *node.get("required", ())}
    speaks = "additionalProperties" in node or "unevaluatedProperties" in node
    for member in node.get("allOf", ()):
        more, also = _level(member)
        names |= more
        speaks = speaks or also
    return names, speaks


def _declares(node: Node) -> bool:
    return isinstance(node, dict) and (bool(node.get("properties")) or any(map(_declares, node.get("allOf", ()))))


def _children(node: dict[str, Any], change: Callable[[Node], Node]) -> dict[str, Any]:
    """A copy with `change` applied to the schemas of parts of the value."""
    made = dict(node)
    for key in _DECLARING_MAPS:
        if key in made:
            made[key] = {name: change(inner) for name, inner in made[key].items()}
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = change(made[key])
    if "prefixItems" in made:
        made["prefixItems"] = [change(inner) for inner in made["prefixItems"]]
    return made


def _close(node: Node, others: set[str], inherited: frozenset[str], *, free: bool, within: bool = False) -> Node:
    """The sender's schema with the names that it does not declare, but the receiver may, ruled out."""
    if isinstance(node, bool):
        return node
    own, speaks = _level(node)
    names = inherited | own

    made = _children(node, lambda inner: _close(inner, others, frozenset(), free=free))
    if "allOf" in made:
        made["allOf"] = [_close(member, others, names, free=free, within=True) for member in made["allOf"]]
    unions = [key for key in ("anyOf", "oneOf") if key in made]
    for key in unions:
        made[key] = [_close(member, others, names, free=free) for member in made[key]]
    for more, also in (_level(member) for key in unions for member in node[key]):
        names, speaks = names | more, speaks or also
    if _declares(node) and not speaks and not within:
        ruled_out = dict.fromkeys(sorted(others - names), False)
        if ruled_out:
            made["properties"] = {**ruled_out, **made.get("properties", {})}
        if not free and "allOf" not in made and not unions and "patternProperties" not in made:
            made["additionalProperties"] = False
    return made
