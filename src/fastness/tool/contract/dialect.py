"""Schemas of OpenAPI 3.0 and 3.1 as one dialect: JSON Schema 2020-12 with what means nothing to a validator left out.

A `Space` is one document read in one direction: `readOnly` properties are no part of a request, `writeOnly` ones no part
of a response. Nothing here compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastness.tool.contract.references import resolve

Node = dict[str, Any] | bool

MAPS = ("properties", "patternProperties", "dependentSchemas")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLES = (
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
)
JSON = "content:application/json;"
"""The format of a string that is a JSON document; `contentSchema` is of what it says."""
_PLAIN = frozenset(
    {
        "type",
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minContains",
        "maxContains",
        "minProperties",
        "maxProperties",
        "required",
        "default",
        "dependentRequired",
        "$ref",
    }
)
_EVALUATING = frozenset(
    {"allOf", "anyOf", "oneOf", "$ref", "if", "dependentSchemas", "patternProperties", "additionalProperties"}
)
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_SILENT = frozenset({"float", "double", "password"})
_OCTETS = "application/octet-stream"
_SCALARS = ("number", "boolean", "null")


class Direction(StrEnum):
    """Who sends the value: the client a request, the server a response."""

    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One schema in its document.

    Attributes:
        space: resolves the references in it.
        node: the schema, normalised.
        text: its values travel as text (parameters, headers, form fields), where `5` and "5" look the same.
    """

    space: Space
    node: Node
    text: bool = False


class Space:
    """The schemas of one document, read in one direction."""

    def __init__(self, document: Mapping[str, Any], direction: Direction, *, old: bool, three_zero: bool) -> None:
        self.document = document
        self.direction = direction
        self.old = old
        self._three_zero = three_zero
        self._nodes: dict[int, Node] = {}
        self._targets: dict[str, Node] = {}
        self.sizes: dict[str, int] = {}  # of the values of its components, and a value of each, for who makes some
        self.firsts: dict[str, Any] = {}
        self._kept: list[Any] = []  # memo keys are addresses: what they point at has to live

    def schema(self, raw: Any, *, text: bool = False) -> Schema:
        """The schema that stands as `raw` in the document."""
        return Schema(self, self.node(raw), text)

    def target(self, reference: str) -> Node:
        """What a reference means."""
        found = self._targets.get(reference)
        if found is None:
            found = self._targets[reference] = self.node(resolve(self.document, reference))
        return found

    def node(self, raw: Any) -> Node:
        """`raw`, normalised. The same object for the same object."""
        if isinstance(raw, bool):
            return raw
        if not isinstance(raw, dict):
            return True
        known = self._nodes.get(id(raw))
        if known is None:
            known = self._nodes[id(raw)] = self._normalise(raw)
            self._kept.append(raw)
        return known

    def _normalise(self, raw: Mapping[str, Any]) -> Node:
        if isinstance(raw.get("$ref"), str) and (self._three_zero or len(raw) == 1):
            return {"$ref": raw["$ref"]}
        made = self._copied(raw)
        self._bounds(raw, made)
        self._strings(raw, made)
        self._discriminate(raw, made)
        self._direct(raw, made)
        if "unevaluatedProperties" in made and not _EVALUATING & made.keys():
            made["additionalProperties"] = made.pop("unevaluatedProperties")
        if made.get("additionalProperties") is True and not made.get("properties"):
            del made["additionalProperties"]  # an object without properties is open either way
        if made.get("required") == []:
            del made["required"]
        if self._three_zero and raw.get("nullable") is True:
            return _nullable(made)
        if list(made) == ["allOf"] and len(made["allOf"]) == 1:
            only: Node = made["allOf"][0]
            return only
        return made

    def _copied(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords that mean something, with normalised schemas below."""
        made: dict[str, Any] = {}
        for key, value in raw.items():
            if key in _PLAIN:
                made[key] = value
            elif key in MAPS and isinstance(value, dict):
                made[key] = {name: self.node(inner) for name, inner in value.items()}
            elif key in LISTS and isinstance(value, list) and value:
                made[key] = [self.node(inner) for inner in value]
            elif key in SINGLES and isinstance(value, dict | bool):
                made[key] = self.node(value)
        return made

    def _bounds(self, raw: Mapping[str, Any], made: dict[str, Any]) -> None:
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
                made[exclusive] = made.pop(bound)
        least, most = _RANGES.get(str(raw.get("format")), (None, None))
        if least is not None and most is not None and "string" not in _types(made):
            made["minimum"] = max(least, made.get("minimum", least))
            made["maximum"] = min(most, made.get("maximum", most))

    def _strings(self, raw: Mapping[str, Any], made: dict[str, Any]) -> None:
        kind = raw.get("format")
        encoding, media = raw.get("contentEncoding"), raw.get("contentMediaType")
        if kind == "binary":
            media, kind = media or _OCTETS, None
        elif kind == "byte":
            encoding, kind = encoding or "base64", None
        if isinstance(kind, str) and kind not in _RANGES and kind not in _SILENT:
            made["format"] = kind
        values = raw.get("x-extensible-enum")
        if self.direction is Direction.REQUEST and isinstance(values, list) and values:
            # Who sends keeps to the list, and who receives takes values that are not on it (Zalando's guidelines, rule 112).
            made.setdefault("enum", values)
        inner = made.pop("contentSchema", None)
        if encoding or media not in (None, _OCTETS):  # any string is some octets
            # A validator does not look inside of strings. A format of its own keeps the difference from being lost.
            content = {"format": f"content:{media or ''};{encoding or ''}"}
            if inner is not None:
                content["contentSchema"] = inner
            if "format" in made:
                made["allOf"] = [*made.get("allOf", []), content]
            else:
                made.update(content)

    def _discriminate(self, raw: Mapping[str, Any], made: dict[str, Any]) -> None:
        """Say in each alternative which values of the discriminator choose it, as its mapping does."""
        discriminator = raw.get("discriminator")
        if not isinstance(discriminator, dict) or not isinstance(discriminator.get("propertyName"), str):
            return
        name, mapping = discriminator["propertyName"], discriminator.get("mapping") or {}
        for key in ("oneOf", "anyOf"):
            for place, alternative in enumerate(made.get(key, ())):
                reference = alternative.get("$ref") if isinstance(alternative, dict) else None
                if reference is None:
                    continue
                short = reference.rpartition("/")[2]
                values = [value for value, target in mapping.items() if target in (reference, short)] or [short]
                made[key][place] = {
                    "$ref": reference,
                    "properties": {name: {"enum": values}},
                    "required": [name],
                }

    def _direct(self, raw: Mapping[str, Any], made: dict[str, Any]) -> None:
        """Leave out what does not travel this way."""
        mark = "readOnly" if self.direction is Direction.REQUEST else "writeOnly"
        properties = raw.get("properties")
        if not isinstance(properties, dict):
            return
        gone = {name for name, value in properties.items() if self._marked(value, mark)}
        if gone:
            made["properties"] = {name: value for name, value in made["properties"].items() if name not in gone}
            made["required"] = [name for name in made.get("required", []) if name not in gone]

    def _marked(self, raw: Any, mark: str, depth: int = 0) -> bool:
        if not isinstance(raw, dict) or depth > 8:
            return False
        if raw.get(mark) is True:
            return True
        followed = [resolve(self.document, raw["$ref"])] if isinstance(raw.get("$ref"), str) else []
        members = raw.get("allOf")
        followed += members if isinstance(members, list) else []
        return any(self._marked(member, mark, depth + 1) for member in followed)


def key(value: Any) -> str:
    """What two JSON values have in common when they are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, str):
        return f"={value}"  # nothing that JSON writes begins so
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, default=str)


def subschemas(node: Node) -> Iterator[Node]:
    """The schemas right below a normalised one."""
    if isinstance(node, bool):
        return
    for name in MAPS:
        yield from node.get(name, {}).values()
    for name in LISTS:
        yield from node.get(name, ())
    for name in SINGLES:
        if name in node:
            yield node[name]


def as_text(schema: Schema, *, receives: bool, within: bool = False) -> Node:
    """The schema of a value that travels as text.

    What is sent is never null: it is left out instead. Who receives a plain string takes the text of anything, and who
    receives a list takes one value for a list of one. Of an object each property travels as text, as in a form.
    """
    node = target(schema).node
    if isinstance(node, bool):
        return node
    if not within and isinstance(node.get("properties"), dict):
        fields = {
            name: as_text(Schema(schema.space, inner), receives=receives, within=True)
            for name, inner in node["properties"].items()
        }
        return {**node, "properties": fields}
    for name in ("anyOf", "oneOf"):
        if name in node:
            members = [as_text(Schema(schema.space, member), receives=receives, within=within) for member in node[name]]
            kept = [member for member in members if receives or not _only_null(member)]
            node = {**node, name: kept} if kept else node
    types = _types(node)
    if not receives:
        return {**node, "type": [name for name in types if name != "null"]} if "null" in types and len(types) > 1 else node
    if set(types) - {"null"} == {"string"} and not set(node) - {"type", "minLength"} and node.get("minLength", 0) <= 1:
        return {"anyOf": [node, {"type": list(_SCALARS)}]}
    if types == ["array"] and node.get("minItems", 0) <= 1 and isinstance(node.get("items"), dict):
        inner = as_text(Schema(schema.space, node["items"]), receives=True, within=True)
        return {"anyOf": [{**node, "items": inner}, inner]}
    return node


def target(schema: Schema) -> Schema:
    """What a schema that is nothing but a reference refers to, else the schema."""
    node = schema.node
    while isinstance(node, dict) and len(node) == 1 and "$ref" in node:
        node = schema.space.target(node["$ref"])  # references in a circle were refused when the document was read
    return schema if node is schema.node else Schema(schema.space, node, schema.text)


def _types(node: Mapping[str, Any]) -> list[str]:
    kind = node.get("type")
    return kind if isinstance(kind, list) else [kind] if isinstance(kind, str) else []


def _only_null(node: Node) -> bool:
    return isinstance(node, dict) and (_types(node) == ["null"] or node.get("enum") == [None])


def _nullable(made: dict[str, Any]) -> Node:
    types = _types(made)
    if types:
        made["type"] = [*types, "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        if not {"anyOf", "oneOf", "allOf", "not"} & made.keys():
            return made
    return {"anyOf": [{**made, "type": types} if types else made, {"type": "null"}]}
