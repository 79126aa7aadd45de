"""What travels: statuses and their ranges, ranges of media types, and the fields of forms."""

from collections.abc import Callable
from typing import Any

import pytest

from fastness.tool.contract.compare import Result

from .conftest import breaking, document, operation

Compared = Callable[..., Result]
TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def answers(**responses: Any) -> dict[str, Any]:
    """A document that answers each status with JSON of a schema."""
    return document(
        operation(
            responses={
                status.removeprefix("s"): {"description": "d", "content": {"application/json": {"schema": schema}}}
                for status, schema in responses.items()
            }
        )
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"s2XX": TEXT}, {"s200": TEXT}, []),
        ({"s2XX": TEXT}, {"s200": NUMBER}, ["response.type.widened"]),
        ({"s200": TEXT}, {"s2XX": TEXT}, []),
        ({"s200": TEXT}, {"s2XX": NUMBER}, ["response.type.widened"]),
        ({"s2XX": TEXT}, {"s302": TEXT}, ["response.status.removed"]),
        ({"default": TEXT}, {"s200": TEXT}, []),
        ({"default": TEXT}, {"s200": NUMBER}, ["response.type.widened"]),
        ({"s200": TEXT, "default": NUMBER}, {"s200": TEXT, "s404": NUMBER}, []),
        ({"s200": TEXT, "default": NUMBER}, {"s200": TEXT, "s404": TEXT}, ["response.type.widened"]),
        ({"s200": TEXT, "s404": TEXT}, {"s200": TEXT, "s4XX": NUMBER}, ["response.type.widened"]),
    ],
)
def test_statuses_and_ranges_speak_of_each_other(compared: Compared, old: Any, new: Any, expected: list[str]) -> None:
    """A status that came out of a range, or went into one, is compared with it; `default` is for errors, else for all."""
    assert breaking(compared(answers(**old), answers(**new))) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"*/*": TEXT}, {"application/json": TEXT}, []),
        ({"application/*": TEXT}, {"application/json": TEXT, "application/xml": TEXT}, []),
        ({"application/*": TEXT}, {"application/json": NUMBER}, ["response.type.widened"]),
        ({"application/json": TEXT}, {"application/*": TEXT}, ["response.media-type.removed"]),
        ({"text/*": TEXT}, {"application/json": TEXT}, ["response.media-type.removed"]),
        ({"application/json": TEXT}, {"application/problem+json": TEXT}, ["response.media-type.removed"]),
    ],
)
def test_an_answer_may_be_of_any_type_in_a_range(compared: Compared, old: Any, new: Any, expected: list[str]) -> None:
    """Who takes `application/*` takes JSON; who takes JSON does not take all of `application/*`."""
    one, other = (
        document(operation(responses={"200": {"content": {name: {"schema": schema} for name, schema in content.items()}}}))
        for content in (old, new)
    )
    assert breaking(compared(one, other)) == expected


def form(field: Any, media: str = "application/x-www-form-urlencoded", **parts: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": field}, "required": ["a"]}
    return document(operation(requestBody={"required": True, "content": {media: {"schema": schema, **parts}}}))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (NUMBER, TEXT, []),
        (TEXT, NUMBER, ["request.type.narrowed"]),
        (NUMBER, {"type": "array", "items": NUMBER}, []),
        ({"anyOf": [NUMBER, {"type": "null"}]}, NUMBER, []),
        (NUMBER, {"type": "integer", "maximum": 4}, ["request.number.narrowed"]),
        (TEXT, {"type": "string", "maxLength": 4}, ["request.length.narrowed"]),
    ],
)
def test_fields_of_a_form_are_text(compared: Compared, old: Any, new: Any, expected: list[str]) -> None:
    """What holds for the values of parameters holds for those of a form: `5` and "5" look the same, and null is left out."""
    assert breaking(compared(form(old), form(new))) == expected


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ({}, {"contentType": "text/plain"}, False),
        ({"contentType": "application/json"}, {}, True),
        ({}, {"contentType": "application/json"}, True),
        ({"contentType": "application/json"}, {"contentType": "application/json"}, False),
    ],
)
def test_a_part_of_a_form_keeps_its_encoding(compared: Compared, old: Any, new: Any, breaks: bool) -> None:
    """An Encoding Object may come and go as long as it says what holds without it."""
    one, other = (form(TEXT, "multipart/form-data", encoding={"a": encoding}) for encoding in (old, new))
    assert breaking(compared(one, other)) == ["request.encoding.changed"] * breaks


FILE = {"type": "string", "format": "binary"}
OCTETS = {"type": "string", "contentMediaType": "application/octet-stream"}


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        (FILE, OCTETS, False),
        (FILE, {"anyOf": [OCTETS, {"type": "null"}]}, False),
        (OCTETS, {"type": "array", "items": OCTETS}, False),
        (FILE, TEXT, True),
        (TEXT, {"anyOf": [OCTETS, {"type": "null"}]}, True),
    ],
)
def test_a_file_is_no_text(compared: Compared, old: Any, new: Any, breaks: bool) -> None:
    """A field of a form that is a file goes on to be one, also where no encoding is written out."""
    one, other = (form(field, "multipart/form-data") for field in (old, new))
    assert breaking(compared(one, other)) == ["request.encoding.changed"] * breaks


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ("image/png", "image/png, image/jpeg", False),
        ("image/png", "image/*", False),
        ("image/png, image/jpeg", "image/png", True),
    ],
)
def test_a_part_may_be_of_more_types(compared: Compared, old: str, new: str, breaks: bool) -> None:
    """An encoding may list several media types, and ranges of them."""
    one, other = (form(FILE, "multipart/form-data", encoding={"a": {"contentType": listed}}) for listed in (old, new))
    assert breaking(compared(one, other)) == ["request.encoding.changed"] * breaks
