"""What each area of OpenAPI reports, beyond the schemas that FastAPI writes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fastness.tool.contract.changes import Level
from fastness.tool.contract.compare import Result
from fastness.tool.contract.references import resolve

from .conftest import answer, body, breaking, document, operation

Compared = Callable[..., Result]
TEXT = {"type": "string"}


def parameter(**parts: Any) -> dict[str, Any]:
    return {"name": "q", "in": "query", "schema": TEXT, **parts}


def ok(**parts: Any) -> dict[str, Any]:
    return {"200": {"description": "ok", **parts}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param({"type": ["string", "null"]}, TEXT, ["request.null.narrowed"], id="null in a list of types"),
        pytest.param({"const": "a"}, {"enum": ["a"]}, [], id="const is an enum of one"),
        pytest.param({"allOf": [TEXT]}, TEXT, [], id="allOf of one is that one"),
        pytest.param(
            {"type": "integer"}, {"type": "integer", "format": "int32"}, ["request.number.narrowed"] * 2, id="int32 is a range"
        ),
        pytest.param({"type": "number"}, {"type": "number", "format": "double"}, [], id="double limits nothing"),
        pytest.param(
            {"type": "string", "format": "binary"},
            {"type": "string", "contentMediaType": "application/octet-stream"},
            [],
            id="binary is written in two ways",
        ),
        pytest.param(
            TEXT, {"type": "string", "format": "x-own"}, ["request.format.undecided"], id="an unknown format is undecided"
        ),
        pytest.param(
            {"type": "object"}, {"type": "object", "additionalProperties": True}, [], id="a free object is open either way"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": TEXT}},
            {"type": "object", "properties": {"a": TEXT, "b": {"type": "integer"}}, "unevaluatedProperties": False},
            ["request.additional-properties.narrowed"],
            id="unevaluatedProperties closes",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": TEXT}, "patternProperties": {"^x": TEXT}, "additionalProperties": False},
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False},
            ["request.keyword.narrowed"],
            id="names that matched a pattern are refused",
        ),
        pytest.param(
            {"type": "object", "required": ["a"]},
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
            ["request.type.narrowed", "request.null.narrowed"],
            id="a required name was sent with any value",
        ),
        pytest.param(
            {"type": "array", "items": TEXT},
            {"type": "array", "items": TEXT, "uniqueItems": True},
            ["request.items.narrowed"],
            id="unique",
        ),
        pytest.param(
            {"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^.*"}, [], id="a pattern of everything"
        ),
        pytest.param(
            {"type": "object"},
            {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
            ["request.keyword.narrowed"],
            id="names are limited",
        ),
        pytest.param(
            {"allOf": [{"type": "object", "properties": {"a": TEXT}}]},
            {"allOf": [{"type": "object", "properties": {"a": TEXT}}], "unevaluatedProperties": False},
            ["request.additional-properties.narrowed"],
            id="what no member of allOf spoke of is refused",
        ),
        pytest.param(
            {"type": "array", "prefixItems": [TEXT], "unevaluatedItems": False},
            {"type": "array", "prefixItems": [TEXT]},
            [],
            id="further items are taken",
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "contains": {"minLength": 3}}, {"type": "array", "items": TEXT}, [], id="contains"
        ),
        pytest.param(
            {"type": "string", "x-extensible-enum": ["a", "b"]},
            {"type": "string", "x-extensible-enum": ["a"]},
            ["request.enum.narrowed"],
            id="who sends keeps to an extensible enum",
        ),
        pytest.param({"type": "string"}, False, ["request.type.narrowed"], id="nothing is taken"),
        pytest.param(
            {"allOf": [{"type": "integer"}, {"minimum": 3}]},
            {"type": "integer", "minimum": 2},
            [],
            id="allOf is taken together",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "string", "readOnly": True}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"type": "integer", "readOnly": True}}, "required": ["a"]},
            [],
            id="what is read only is not sent",
        ),
        pytest.param(
            {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
            {"type": "object", "patternProperties": {"^x": {"type": "number"}}},
            [],
            id="more is taken at the names of a pattern",
        ),
        pytest.param(
            {"type": "object", "patternProperties": {"^x": {"type": "number"}}},
            {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
            ["request.keyword.narrowed"],
            id="less is taken at the names of a pattern",
        ),
        pytest.param(
            {"type": "object", "properties": {"xa": TEXT}, "additionalProperties": False},
            {"type": "object", "properties": {"xa": TEXT}, "patternProperties": {"^x": {"maxLength": 2}}},
            ["request.keyword.narrowed"],
            id="a pattern speaks of a property",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
            [],
            id="a pattern asks for what all were",
        ),
        pytest.param(
            {"type": "object", "propertyNames": {"pattern": "^x[a-z]$"}},
            {"type": "object", "propertyNames": {"pattern": "^x"}},
            [],
            id="more names are taken",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^x"}},
            {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^xy"}},
            ["request.keyword.narrowed"],
            id="fewer names are taken",
        ),
        pytest.param(
            {"type": "string", "format": "date-time", "pattern": "Z$"},
            {"type": "string", "format": "date-time", "pattern": "^[a-z]+$"},
            ["request.pattern.narrowed"],
            id="a format has values where its pattern is too wide",
        ),
        pytest.param(
            {"type": "string", "contentMediaType": "application/xml", "contentSchema": TEXT},
            {"type": "string", "contentMediaType": "application/xml", "contentSchema": {"type": "integer"}},
            ["request.type.undecided"],
            id="nobody looks into XML",
        ),
        pytest.param(
            TEXT,
            {"type": "string", "contentMediaType": "application/octet-stream"},
            [],
            id="any text is some octets",
        ),
    ],
)
def test_request_schemas(compared: Compared, old: Any, new: Any, expected: list[str]) -> None:
    """A body schema of the old document against one of the new."""
    assert breaking(compared(document(body(old)), document(body(new)))) == expected


def test_nullable_of_3_0_is_null_of_3_1(compared: Compared) -> None:
    """A document that moves from 3.0 to 3.1 says the same in other words."""
    old = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "nullable": True},
            "b": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        },
    }
    new = {
        "type": "object",
        "properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}, "b": {"type": "integer", "exclusiveMinimum": 0}},
    }
    assert compared(document(body(old), version="3.0.3"), document(body(new))).changes == ()


def test_what_is_write_only_is_not_answered(compared: Compared) -> None:
    """A writeOnly property of a response may change as it likes."""
    old, new = ({"type": "object", "properties": {"p": {"type": kind, "writeOnly": True}}} for kind in ("string", "integer"))
    assert breaking(compared(document(answer(old)), document(answer(new)))) == []


def test_a_discriminator_chooses_by_its_mapping(compared: Compared) -> None:
    """Without constants in the members, the mapping says which alternative a value is of."""

    def pets(*names: str) -> dict[str, Any]:
        mapping = {name: f"#/components/schemas/{name}" for name in names}
        pet = {
            "oneOf": [{"$ref": ref} for ref in mapping.values()],
            "discriminator": {"propertyName": "kind", "mapping": mapping},
        }
        schema = {"type": "object", "properties": {"kind": TEXT}, "required": ["kind"]}
        return document(body(pet), components={"schemas": dict.fromkeys(names, schema)})

    (change,) = compared(pets("cat", "dog"), pets("cat")).changes
    assert change.id == "request.alternative.narrowed" or change.id.startswith("request.")
    assert change.counterexample["request"]["body"]["kind"] == "dog"
    assert breaking(compared(pets("cat"), pets("cat", "dog"))) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([parameter()], [parameter(required=True)], ["request.parameter.required"]),
        ([parameter(name="Q", **{"in": "header"})], [parameter(**{"in": "header"})], []),
        (
            [parameter(schema={"type": "array"})],
            [parameter(schema={"type": "array"}, explode=False)],
            ["request.encoding.changed"],
        ),
        ([parameter()], [parameter(explode=False)], []),
        ([parameter()], [parameter(content={"application/json": {"schema": TEXT}})], ["request.encoding.changed"]),
        ([], [parameter(name="Authorization", required=True, **{"in": "header"})], []),
        ([parameter(schema={"type": "array", "items": TEXT})], [parameter()], ["request.type.narrowed"]),
        (
            [parameter(schema={"type": "integer"})],
            [parameter(schema={"type": "string", "maxLength": 9})],
            ["request.type.narrowed"],
        ),
    ],
)
def test_parameters(compared: Compared, old: list[Any], new: list[Any], expected: list[str]) -> None:
    """Parameters by name and place, how they are written, and what they take."""
    assert breaking(compared(document(operation(parameters=old)), document(operation(parameters=new)))) == expected


def test_parameters_of_the_path_item_count(compared: Compared) -> None:
    """A parameter may stand at the path or at the operation."""
    new = operation()
    new["/items"]["parameters"] = [parameter()]
    assert compared(document(operation(parameters=[parameter()])), document(new)).changes == ()


def test_the_same_operation_under_changed_components(compared: Compared) -> None:
    """An operation that did not change is compared when a component below it did, through a cycle too."""

    def tree(kind: str) -> dict[str, Any]:
        node = {
            "type": "object",
            "properties": {"leaf": {"$ref": "#/components/schemas/Leaf"}, "next": {"$ref": "#/components/schemas/Node"}},
        }
        return document(
            body({"$ref": "#/components/schemas/Node"}), components={"schemas": {"Node": node, "Leaf": {"type": kind}}}
        )

    assert breaking(compared(tree("string"), tree("integer"))) == ["request.type.narrowed"]
    assert compared(tree("string"), tree("string")).changes == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (ok(), {"201": {"description": "made"}}, ["response.status.removed"]),
        (ok(), {**ok(), "2XX": {"description": "any"}}, []),
        ({**ok(), "default": {"description": "x"}}, {**ok(), "404": {"description": "gone"}}, []),
        (
            ok(headers={"X-Total": {"required": True, "schema": TEXT}}),
            ok(headers={"x-total": {"schema": TEXT}}),
            ["response.header.optional"],
        ),
        (ok(headers={"X-Total": {"schema": TEXT}}), ok(), []),
        (
            ok(headers={"A": {"schema": {"enum": ["a"]}}}),
            ok(headers={"A": {"schema": {"enum": ["a", "b"]}}}),
            ["response.enum.widened"],
        ),
        (
            ok(content={"application/json": {}, "text/csv": {}}),
            ok(content={"application/json; charset=utf-8": {}}),
            ["response.media-type.removed"],
        ),
    ],
)
def test_responses(compared: Compared, old: Any, new: Any, expected: list[str]) -> None:
    """Statuses, headers and media types of responses."""
    assert breaking(compared(document(operation(responses=old)), document(operation(responses=new)))) == expected


SCHEMES = {
    "a": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "b": {"type": "http", "scheme": "bearer"},
    "o": {"type": "oauth2", "flows": {}},
}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, [{"a": []}], ["request.security.required"]),
        ([{"a": []}], [{"a": []}, {"b": []}], []),
        ([{"a": []}, {"b": []}], [{"a": []}], ["request.security.required"]),
        ([{"a": []}], [{"a": [], "b": []}], ["request.security.required"]),
        ([{"o": ["read"]}], [{"o": ["read", "write"]}], ["request.scope.required"]),
        ([{"o": ["read"]}], [{"b": []}], []),
        ([{"a": []}], [{}], []),
        ([{"a": []}], [], []),
    ],
)
def test_security(compared: Compared, old: Any, new: Any, expected: list[str]) -> None:
    """Every combination of credentials that was enough has to stay enough."""
    documents = [
        document(operation(**({} if security is None else {"security": security})), components={"securitySchemes": SCHEMES})
        for security in (old, new)
    ]
    assert breaking(compared(*documents)) == expected


def test_security_of_the_document_is_inherited(compared: Compared) -> None:
    """An operation without `security` has that of the document."""
    new = document(operation(), security=[{"b": []}], components={"securitySchemes": SCHEMES})
    assert breaking(compared(document(operation()), new)) == ["request.security.required"]


def test_servers(compared: Compared) -> None:
    """A base URL may be added, not taken away; a document without any says nothing."""
    one, two = {"url": "https://a.example/"}, {"url": "https://b.example"}
    assert breaking(compared(document(operation(), servers=[one]), document(operation(), servers=[one, two]))) == []
    assert breaking(compared(document(operation(), servers=[one]), document(operation(), servers=[two]))) == [
        "request.server.removed"
    ]
    assert breaking(compared(document(operation()), document(operation(), servers=[two]))) == []


def test_a_choice_of_a_server_is_a_server(compared: Compared) -> None:
    """A variable that lists its values stands for one URL each."""

    def api(*regions: str) -> dict[str, Any]:
        region = {"default": regions[0], "enum": list(regions)}
        return document(operation(), servers=[{"url": "https://{region}.example", "variables": {"region": region}}])

    assert breaking(compared(api("eu"), api("eu", "us"))) == []
    (change,) = compared(api("eu", "us"), api("eu")).changes
    assert (change.id, change.counterexample["request"]["server"]) == ("request.server.removed", "https://us.example")
    assert breaking(compared(api("eu"), document(operation(), servers=[{"url": "https://eu.example"}]))) == []


def test_a_condition_is_told(compared: Compared) -> None:
    """A change of what stands beside the keywords of a value says what it is."""
    condition = {"if": {"required": ["a"]}, "then": {"required": ["b"]}}
    (change,) = compared(document(body({"type": "object"})), document(body({"type": "object", **condition}))).changes
    assert change.id == "request.keyword.narrowed"
    assert change.message == f"the body: if, then was unlimited and is {condition}"


@pytest.mark.parametrize("renamed", [False, True])
def test_what_json_in_a_string_says_is_compared_through_references(compared: Compared, *, renamed: bool) -> None:
    """A model behind `Json[...]` is told by what it says, and not by its name."""

    def api(name: str, *required: str) -> dict[str, Any]:
        model = {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": list(required)}
        told = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": f"#/components/schemas/{name}"},
        }
        return document(body(told), components={"schemas": {name: model}})

    other = "Other" if renamed else "Model"
    assert not compared(api("Model", "a"), api(other, "a")).changes
    assert breaking(compared(api("Model", "a"), api(other))) == []
    (change,) = compared(api("Model", "a"), api(other, "a", "b")).changes
    assert (change.id, change.location) == ("request.property.required", f"/components/schemas/{other}/properties/b")
    assert json.loads(change.counterexample["request"]["body"]) == {"a": "text"}


def test_items_of_a_stream_are_compared(compared: Compared) -> None:
    """Clients and servers may send streams; the items of both are compared as bodies are."""

    def item(schema: Any) -> dict[str, Any]:
        return {"content": {"application/jsonl": {"itemSchema": schema}}}

    number = {"type": "integer"}
    sent = [document(operation(requestBody=item(schema))) for schema in (TEXT, number)]
    (change, *_) = compared(*sent).changes
    assert (change.id, change.message) == ("request.type.narrowed", "an item of the body: the type was string and is integer")
    assert change.counterexample["request"]["body"] == ["text"]
    answered = [
        document(operation(responses={"200": item(schema)})) for schema in ({"type": ["integer", "string"]}, number, True)
    ]
    assert breaking(compared(answered[0], answered[1])) == []
    assert breaking(compared(answered[1], answered[0])) == ["response.type.widened"]
    assert breaking(compared(answered[1], document(operation(responses={"200": {"content": {"application/jsonl": {}}}}))))


def hook(schema: Any, name: str = "created") -> dict[str, Any]:
    sent = {"required": True, "content": {"application/json": {"schema": schema}}}
    return document(webhooks={name: {"post": {"requestBody": sent, "responses": ok()}}})


def test_webhooks_are_sent_by_the_server(compared: Compared) -> None:
    """What a webhook sends must not widen: client and server have changed places."""
    assert breaking(compared(hook({"enum": ["a"]}), hook({"enum": ["a", "b"]}))) == ["request.enum.widened"]
    assert breaking(compared(hook({"enum": ["a", "b"]}), hook({"enum": ["a"]}))) == []
    assert breaking(compared(hook(TEXT), hook(TEXT, "deleted"))) == ["request.webhook.removed"]


def test_callbacks_are_webhooks_of_an_operation(compared: Compared) -> None:
    """A callback is compared like a webhook."""

    def called(schema: Any) -> dict[str, Any]:
        sent = {"required": True, "content": {"application/json": {"schema": schema}}}
        return document(
            operation(callbacks={"done": {"{$request.body#/url}": {"post": {"requestBody": sent, "responses": ok()}}}})
        )

    assert breaking(compared(called({"enum": ["a"]}), called({"enum": ["a", "b"]}))) == ["request.enum.widened"]
    assert compared(called(TEXT), called(TEXT)).changes == ()


def test_a_schema_that_nothing_satisfies_proves_nothing(compared: Compared) -> None:
    """When the old contract admits no value at all, a change of it is undecided and not compatible."""
    impossible = {"type": "integer", "minimum": 5, "maximum": 3}
    assert breaking(compared(document(body(impossible)), document(body({"type": "string"})))) == ["request.schema.undecided"]


def test_both_places_and_values_are_told(compared: Compared) -> None:
    """A change names the place in the document behind references, and what stood there."""

    def named(most: int) -> dict[str, Any]:
        item = {"type": "object", "properties": {"a/b": {"type": "array", "items": {"type": "integer", "maximum": most}}}}
        return document(body({"$ref": "#/components/schemas/Item"}), components={"schemas": {"Item": item}})

    (change,) = compared(named(9), named(5)).changes
    assert change.location == "/components/schemas/Item/properties/a~1b/items"
    assert (change.id, change.old, change.new) == ("request.number.narrowed", 9, 5)
    assert change.counterexample["request"]["body"] == {"a/b": [6]}
    assert change.operation == "POST /items"


def test_a_default_and_a_lost_property_are_warnings(compared: Compared) -> None:
    """What is taken as before but may mean something else is a warning."""
    old = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}, "b": TEXT}}
    new = {"type": "object", "properties": {"a": {"type": "integer", "default": 2}}}
    result = compared(document(body(old)), document(body(new)))
    assert {change.id for change in result.changes if change.level is Level.WARNING} == {
        "request.default.changed",
        "request.property.removed",
    }
    assert breaking(result) == []


def test_what_fastapi_writes_differently_means_the_same(compared: Compared) -> None:
    """The words of FastAPI 0.115 with Pydantic 2.9, and those of FastAPI 0.165 with Pydantic 2.14, are one contract."""
    ref = "#/components/schemas/"
    old_model = {
        "title": "Item",
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["x"], "const": "x", "title": "Kind", "default": "x"},
            "data": {"anyOf": [{"type": "object"}, {"type": "null"}], "title": "Data"},
            "raw": {"type": "string", "format": "binary"},
            "inner": {"allOf": [{"$ref": f"{ref}Inner"}], "default": {}},
        },
    }
    new_model = {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "const": "x", "default": "x"},
            "data": {"anyOf": [{"additionalProperties": True, "type": "object"}, {"type": "null"}]},
            "raw": {"type": "string", "contentMediaType": "application/octet-stream"},
            "inner": {"$ref": f"{ref}Inner-Input", "default": {}},
        },
    }
    inner = {"type": "object", "properties": {"a": {"type": "integer"}}}
    old = document(body({"$ref": f"{ref}Item"}), components={"schemas": {"Item": old_model, "Inner": inner}})
    new = document(body({"$ref": f"{ref}Item-Input"}), components={"schemas": {"Item-Input": new_model, "Inner-Input": inner}})
    assert compared(old, new).changes == ()
    assert compared(new, old).changes == ()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "((a{4000}){4000}){4000}"},
        {"type": "string", "pattern": "(((){4000}){4000}){4000}"},
        {"type": "string", "pattern": "("},
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**12, "items": TEXT},
        {"type": "array", "contains": TEXT, "minContains": 10**12, "maxContains": 10**12},
        {"type": "object", "minProperties": 10**12},
        {"type": "integer", "minimum": "5"},
        {"type": "integer", "multipleOf": 0},
        {"type": "nonsense"},
    ],
)
def test_schemas_that_were_made_to_hurt(compared: Compared, schema: Any) -> None:
    """Sizes that nobody can make and keywords that are none end in a verdict that is not "compatible"."""
    assert breaking(
        compared(document(body(TEXT if schema["type"] != "string" else {"type": "integer"})), document(body(schema)))
    )
    assert breaking(compared(document(body(schema)), document(body({"type": "boolean"}))))


OPEN = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}


@pytest.mark.parametrize(
    ("narrow", "wide", "request_says", "response_says"),
    [
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, "b is taken now", "b is not sent any more"),
        ({"enum": ["a"]}, TEXT, "is no longer limited to a", "is only a now"),
        (TEXT, {"type": ["string", "null"]}, "null is taken now", "is never null now"),
        (
            {"type": "integer", "maximum": 5},
            {"type": "integer", "maximum": 9},
            "maximum was 5 and is 9",
            "maximum was 9 and is 5",
        ),
        (OPEN, {**OPEN, "required": []}, "a may be left out now", "a is always there now"),
        (TEXT, {"anyOf": [TEXT, {"type": "integer"}]}, "the type was string and is integer or string", None),
    ],
)
def test_what_is_free_now_is_told(
    compared: Compared, narrow: Any, wide: Any, request_says: str, response_says: str | None
) -> None:
    """What a request may hold beyond what it might, and what an answer holds no more, is information for people."""
    (change,) = compared(document(body(narrow)), document(body(wide))).changes
    assert (change.level, change.message) == (Level.INFO, f"the body: {request_says}")
    assert change.id.startswith("request.")
    (change,) = compared(document(answer(wide)), document(answer(narrow))).changes
    assert change.level is Level.INFO
    assert response_says is None or change.message == f"the 200 body: {response_says}"


def test_a_value_that_is_exchanged_is_told_from_both_sides(compared: Compared) -> None:
    """An enum that loses one value and gains another breaks by the one; a type that changed is told once."""
    found = compared(document(body({"enum": ["a", "b"]})), document(body({"enum": ["b", "c"]}))).changes
    assert [(change.id, change.message) for change in found] == [
        ("request.enum.narrowed", "the body: a is no longer taken"),
        ("request.enum.widened", "the body: c is taken now"),
    ]
    found = compared(document(body(TEXT)), document(body({"type": "integer"}))).changes
    assert [change.id for change in found] == ["request.type.narrowed"]


def test_a_parameter_of_the_path_that_nobody_describes_takes_any_text(compared: Compared) -> None:
    """A name in the template is a parameter, also where no Parameter Object stands for it."""
    described = {"name": "i", "in": "path", "required": True, "schema": {"type": "integer"}}
    old, new = ({"/x/{i}": {"get": {"responses": ok(), **parts}}} for parts in ({}, {"parameters": [described]}))
    assert breaking(compared(document(old), document(new))) == ["request.type.narrowed"]
    assert breaking(compared(document(new), document(old))) == []


def test_places_lead_through_references(compared: Compared) -> None:
    """Both places of a change exist in their documents, where components hold parameters, bodies, answers and path items."""

    def api(most: int) -> dict[str, Any]:
        schema = {"type": "integer", "maximum": most}
        media = {"application/json": {"schema": {"$ref": "#/components/schemas/N"}}}
        components = {
            "schemas": {"N": schema},
            "parameters": {"Q": {"name": "q", "in": "query", "schema": schema}},
            "requestBodies": {"B": {"content": media}},
            "responses": {"R": {"description": "r", "headers": {"X": {"$ref": "#/components/headers/H"}}}},
            "headers": {"H": {"schema": {"type": "integer", "minimum": -most}}},
            "pathItems": {
                "P": {
                    "put": {
                        "parameters": [{"$ref": "#/components/parameters/Q"}],
                        "requestBody": {"$ref": "#/components/requestBodies/B"},
                        "responses": {"200": {"$ref": "#/components/responses/R"}},
                    }
                }
            },
        }
        return document({"/p": {"$ref": "#/components/pathItems/P"}}, components=components)

    found = compared(api(9), api(5)).changes
    assert {change.location for change in found} == {
        "/components/parameters/Q/schema",
        "/components/schemas/N",
        "/components/headers/H/schema",
    }
    for change in found:
        resolve(api(9), f"#{change.places[0]}")
        resolve(api(5), f"#{change.places[1]}")


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), ([1], [True])])
def test_true_is_not_one(compared: Compared, old: Any, new: Any) -> None:
    """To Python 1 and true are equal; a client that sends the one and a server that wants the other find out."""
    assert len(breaking(compared(document(body({"enum": [old]})), document(body({"enum": [new]}))))) == 1


def test_who_receives_takes_more_than_an_extensible_enum(compared: Compared) -> None:
    """A value may join an extensible enum of an answer: clients were told to expect that."""
    old, new = ({"type": "string", "x-extensible-enum": values} for values in (["a"], ["a", "b"]))
    assert breaking(compared(document(answer(old)), document(answer(new)))) == []
