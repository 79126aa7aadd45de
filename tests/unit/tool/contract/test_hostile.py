"""Documents that were made to hurt: they end soon, in an error or a verdict that is not a wrong "compatible"."""

from collections.abc import Callable
from typing import Any

import pytest

from fastness.tool.contract.compare import Result
from fastness.tool.errors import CommandError

from .conftest import body, breaking, document, operation

Compared = Callable[..., Result]
TEXT = {"type": "string"}
DEEP = 16


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def doubled(key: str, leaf: Any) -> dict[str, Any]:
    """A document in which each of 40 components names the next one twice."""
    schemas = {f"S{place}": {key: [ref(f"S{place + 1}")] * 2} for place in range(40)}
    return document(body(ref("S0")), components={"schemas": {**schemas, "S40": leaf}})


def branching(leaf: Any, **parts: Any) -> dict[str, Any]:
    """A document in which each component has the next one as two of its properties."""
    schemas = {
        f"S{place}": {"type": "object", "properties": dict.fromkeys("ab", ref(f"S{place + 1}")), **parts}
        for place in range(DEEP)
    }
    return document(body(ref("S0")), components={"schemas": {**schemas, f"S{DEEP}": leaf}})


@pytest.mark.parametrize("key", ["allOf", "anyOf", "oneOf"])
def test_a_trillion_alternatives(compared: Compared, key: str) -> None:
    """What would take for ever is undecided, and breaks."""
    assert breaking(compared(doubled(key, TEXT), doubled(key, {"type": "integer"}))) == ["request.schema.undecided"]
    assert compared(doubled(key, TEXT), doubled(key, TEXT)).changes == ()


@pytest.mark.parametrize("parts", [{}, {"required": ["a", "b"]}])
def test_a_trillion_places(compared: Compared, parts: dict[str, Any]) -> None:
    """A change that shows at countless places is reported at some of them."""
    found = breaking(compared(branching(TEXT, **parts), branching({"type": "integer"}, **parts)))
    assert found
    assert len(found) <= 1000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"anyOf": [ref("A"), TEXT]}, {"anyOf": [ref("A"), {"type": "integer"}]}),
        ({"allOf": [ref("A"), TEXT]}, {"allOf": [ref("A"), {"type": "integer"}]}),
        ({"not": ref("A")}, {"not": {"not": ref("A")}}),
    ],
)
def test_a_schema_that_is_its_own_alternative(compared: Compared, old: Any, new: Any) -> None:
    """What says of a value what it says of it has no meaning: a change of it is undecided."""
    documents = [document(body(ref("A")), components={"schemas": {"A": schema}}) for schema in (old, new)]
    assert breaking(compared(*documents)) == ["request.schema.undecided"]
    assert compared(documents[0], documents[0]).changes == ()


def test_a_chain_without_an_end(compared: Compared) -> None:
    """A document that is nested deeper than can be compared is refused, in one line."""

    def chain(leaf: Any) -> dict[str, Any]:
        schemas = {f"S{place}": {"type": "object", "properties": {"a": ref(f"S{place + 1}")}} for place in range(3000)}
        return document(body(ref("S0")), components={"schemas": {**schemas, "S3000": leaf}})

    with pytest.raises(CommandError, match="nested too deep"):
        compared(chain(TEXT), chain({"type": "integer"}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer", "maximum": 10**400}, {"type": "integer", "maximum": 10**399}),
        ({"type": "number", "multipleOf": 1e-300}, {"type": "number", "multipleOf": 1e300}),
        ({"type": "number", "minimum": 1e308}, {"type": "number", "minimum": 1.7e308}),
        ({"const": 10**400}, {"const": 10**401}),
    ],
)
def test_numbers_beyond_all_bounds(compared: Compared, old: Any, new: Any) -> None:
    """A bound that no float holds narrows as any other."""
    assert breaking(compared(document(body(old)), document(body(new))))


def test_a_long_enum_is_told_in_few_words(compared: Compared) -> None:
    """A message names some values and counts the others."""
    values = [f"value{number}" for number in range(3000)]
    (change,) = compared(document(body({"enum": values})), document(body({"enum": values[:10]}))).changes
    assert change.message.endswith("value21 or 2978 more is no longer taken")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"security": [{"a": 5}]}, "the scopes of a at /paths/~1items/post/security are not a list"),
        ({"security": {"a": []}}, "is not a list"),
        ({"requestBody": {"$ref": "#/info/title"}}, "leads to str, not to an object"),
        ({"responses": {"200": 5}}, "/responses/200 is not an object"),
        ({"parameters": {"a": 1}}, "parameters is not a list"),
    ],
)
def test_parts_that_are_something_else(compared: Compared, parts: Any, says: str) -> None:
    """A part that is not what OpenAPI has there is refused with its place."""
    with pytest.raises(CommandError) as caught:
        compared(document(operation(**parts)), document())
    assert says in str(caught.value)


@pytest.mark.parametrize(("required", "says"), [(["b"], "request.type.narrowed"), (["a", "b"], "request.type.undecided")])
def test_json_within_json_without_end(compared: Compared, required: list[str], says: str) -> None:
    """A model may hold itself as JSON in a string; one that has to can never be written down, and proves nothing."""

    def api(kind: str) -> dict[str, Any]:
        again = {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Model")}
        model = {"type": "object", "properties": {"a": again, "b": {"type": kind}}, "required": required}
        return document(body(ref("Model")), components={"schemas": {"Model": model}})

    assert breaking(compared(api("string"), api("integer"))) == [says]
    assert not compared(api("string"), api("string")).changes
