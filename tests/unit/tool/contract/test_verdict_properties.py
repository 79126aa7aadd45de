"""The verdict on schemas, held against values: what is compatible refuses nothing, and what breaks shows a value that is."""

from itertools import islice
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from fastness.tool.contract.dialect import Direction, Schema, Space
from fastness.tool.contract.verdict import Engine, No, Undecided, Yes
from fastness.tool.contract.verdict.values import examples

NAMES = ("a", "b", "c")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.sampled_from(["", "x", "xy", "red", "2026-01-31"]), st.just(1.5)
)


def bounded(low: str, high: str, most: int) -> st.SearchStrategy[dict[str, int]]:
    """Keywords of a range that is not empty."""
    both = st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)
    return st.one_of(
        st.just({}),
        both.map(lambda pair: {low: pair[0], high: pair[1]}),
        both.map(lambda pair: {low: pair[0]}),
        both.map(lambda pair: {high: pair[1]}),
    )


def integers() -> st.SearchStrategy[Any]:
    return st.tuples(
        bounded("minimum", "maximum", 9), st.sampled_from([{}, {"multipleOf": 2}, {"multipleOf": 3}, {"multipleOf": 6}])
    ).map(lambda parts: {"type": "integer", **parts[0], **parts[1]})


def numbers() -> st.SearchStrategy[Any]:
    return st.one_of(
        bounded("minimum", "maximum", 9), bounded("exclusiveMinimum", "maximum", 9), bounded("minimum", "exclusiveMaximum", 9)
    ).map(lambda bounds: {"type": "number", **bounds})


def strings() -> st.SearchStrategy[Any]:
    kinds = [{}, {"pattern": "^[a-z]*$"}, {"pattern": "^[a-z0-9]*$"}, {"format": "date"}]
    return st.tuples(bounded("minLength", "maxLength", 4), st.sampled_from(kinds)).map(
        lambda parts: {"type": "string", **parts[0], **parts[1]}
    )


def leaves() -> st.SearchStrategy[Any]:
    enums = st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values})
    types = st.sampled_from([{"type": "null"}, {"type": "boolean"}, True, {}])
    return st.one_of(integers(), numbers(), strings(), enums, types)


def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas around schemas. Objects say what they think of unknown names, so that a verdict is about sets of values alone."""
    objects = st.builds(
        lambda properties, required, rest: {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": rest,
        },
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        st.lists(st.sampled_from(NAMES), unique=True, max_size=2),
        st.one_of(st.booleans(), inner),
    )
    arrays = st.builds(lambda items, size: {"type": "array", "items": items, **size}, inner, bounded("minItems", "maxItems", 3))
    tuples = st.builds(
        lambda prefix, items: {"type": "array", "prefixItems": prefix, "items": items},
        st.lists(inner, min_size=1, max_size=2),
        st.one_of(st.just(False), inner),
    )
    unions = st.builds(
        lambda key, members: {key: members},
        st.sampled_from(["anyOf", "oneOf", "allOf"]),
        st.lists(inner, min_size=1, max_size=3),
    )
    odd = st.builds(lambda node: {"not": node}, leaves())
    part = st.builds(
        lambda properties, required: {"type": "object", "properties": properties, "required": required},
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
        st.lists(st.sampled_from(NAMES), unique=True, max_size=1),
    )
    sealed = st.builds(
        lambda key, parts: {key: parts, "unevaluatedProperties": False},
        st.sampled_from(["allOf", "oneOf", "anyOf"]),
        st.lists(part, min_size=1, max_size=2),
    )
    holding = st.builds(
        lambda items, wanted, size: {"type": "array", "items": items, "contains": wanted, **size},
        inner,
        leaves(),
        bounded("minContains", "maxContains", 2),
    )
    named = st.builds(
        lambda node, keyword: {**node, **keyword},
        objects,
        st.sampled_from(
            [
                {"propertyNames": {"pattern": "^[a-c]$"}},
                {"propertyNames": {"maxLength": 1}},
                {"dependentRequired": {"a": ["b"]}},
                {"patternProperties": {"^[bc]$": {"type": "string"}}},
                {"minProperties": 1, "maxProperties": 2},
            ]
        ),
    )
    return st.one_of(objects, objects, arrays, tuples, unions, unions, odd, sealed, holding, named)


SCHEMAS = st.recursive(leaves(), grow, max_leaves=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*NAMES, "d"]), inner, max_size=3)),
    max_leaves=8,
)
DIRECTIONS = st.sampled_from(list(Direction))
RELAXED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)


def schema(raw: Any, direction: Direction, *, old: bool, document: dict[str, Any] | None = None) -> Schema:
    return Space(document or {}, direction, old=old, three_zero=False).schema(raw)


def valid(raw: Any, value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(raw, validate_formats=True).is_valid(value)


@st.composite
def edited(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two schemas that have much in common, as two versions of an API have."""
    one = draw(SCHEMAS)
    other = draw(SCHEMAS)
    shape = draw(st.sampled_from(["apart", "property", "union", "items", "both"]))
    if shape == "apart":
        return one, other
    shared = draw(SCHEMAS)
    return wrapped(shape, one, shared), wrapped(shape, other, shared)


def wrapped(shape: str, node: Any, shared: Any) -> Any:
    """A schema that holds another one in a place."""
    if shape == "property":
        properties = {"a": node, "b": shared}
        return {"type": "object", "properties": properties, "required": ["a"], "additionalProperties": False}
    if shape == "items":
        return {"type": "array", "items": node}
    return {"anyOf" if shape == "union" else "allOf": [node, shared]}


@given(pair=edited(), direction=DIRECTIONS, values=st.lists(VALUES, max_size=12))
@RELAXED
def test_verdict_is_true_of_values(pair: tuple[Any, Any], direction: Direction, values: list[Any]) -> None:
    """No value that is sent is refused after a Yes; after a No, the counterexample is sent and refused."""
    old, new = pair
    sender, receiver = (old, new) if direction is Direction.REQUEST else (new, old)
    one, other = schema(old, direction, old=True), schema(new, direction, old=False)
    engine = Engine()
    answer = engine.covers(one, other, direction)
    note(str(answer))
    if isinstance(answer, Yes):
        made = list(islice(examples(one if direction is Direction.REQUEST else other), 24))
        made += islice(examples(other if direction is Direction.REQUEST else one), 24)
        for value in [*values, *made]:
            assert not valid(sender, value) or valid(receiver, value), value
    elif isinstance(answer, No):
        for _, value in answer.found:
            assert valid(sender, value)
            assert not valid(receiver, value)
    else:
        assert answer.reason


@given(raw=SCHEMAS, direction=DIRECTIONS)
@RELAXED
def test_a_schema_covers_itself(raw: Any, direction: Direction) -> None:
    """A schema compared with itself is compatible, without notes, however it is written."""
    assert Engine().covers(schema(raw, direction, old=True), schema(raw, direction, old=False), direction) == Yes()


@given(raw=SCHEMAS, more=SCHEMAS, direction=DIRECTIONS)
@RELAXED
def test_one_more_alternative_takes_whatever_was_taken(raw: Any, more: Any, direction: Direction) -> None:
    """A receiver that gains an alternative of anyOf is never said to break."""
    wider = {"anyOf": [raw, more]}
    old, new = (raw, wider) if direction is Direction.REQUEST else (wider, raw)
    answer = Engine().covers(schema(old, direction, old=True), schema(new, direction, old=False), direction)
    assert not isinstance(answer, No)


@given(raw=leaves(), other=leaves(), direction=DIRECTIONS)
@RELAXED
def test_plain_schemas_are_decided(raw: Any, other: Any, direction: Direction) -> None:
    """Of schemas without patterns, and of which some value is valid, one is always known to cover the other or not."""
    assume("pattern" not in str(raw) + str(other))
    answer = Engine().covers(schema(raw, direction, old=True), schema(other, direction, old=False), direction)
    if isinstance(answer, Undecided):
        assert "no value was found" in answer.reason, answer


@given(inner=SCHEMAS, other=SCHEMAS, direction=DIRECTIONS, values=st.lists(VALUES, max_size=6))
@RELAXED
def test_recursive_schemas_are_true_of_values(inner: Any, other: Any, direction: Direction, values: list[Any]) -> None:
    """The same holds for schemas that refer to themselves."""

    def document(node: Any) -> dict[str, Any]:
        again = {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}
        tree = {"type": "object", "properties": {"a": node, "next": again}, "required": ["a"], "additionalProperties": False}
        return {"$defs": {"tree": tree}}

    old, new = document(inner), document(other)
    ref = {"$ref": "#/$defs/tree"}
    answer = Engine().covers(
        schema(ref, direction, old=True, document=old), schema(ref, direction, old=False, document=new), direction
    )
    sender, receiver = (old, new) if direction is Direction.REQUEST else (new, old)
    if isinstance(answer, Yes):
        for value in values:
            for whole in ({"a": value}, {"a": value, "next": {"a": value}}, {"a": value, "next": None}):
                assert not valid({**sender, **ref}, whole) or valid({**receiver, **ref}, whole)
    elif isinstance(answer, No):
        assert valid({**sender, **ref}, answer.counterexample)
        assert not valid({**receiver, **ref}, answer.counterexample)
