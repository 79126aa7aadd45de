"""Deprecation, sunset and stability: what was announced may happen, and not before."""

from collections.abc import Callable
from typing import Any

import pytest

from fastness.tool.contract.changes import Level
from fastness.tool.contract.compare import Result

from .conftest import answer, body, breaking, document, operation

Compared = Callable[..., Result]


@pytest.mark.parametrize(
    ("marks", "breaks"),
    [
        ({}, True),
        ({"deprecated": True}, True),
        ({"deprecated": True, "x-sunset": "2026-06-02"}, True),
        ({"deprecated": True, "x-sunset": "2026-06-01"}, False),
        ({"x-sunset": "2026-01-01"}, True),
        ({"deprecated": True, "x-sunset": "soon"}, True),
        ({"x-stability-level": "alpha"}, False),
        ({"x-stability-level": "beta"}, True),
    ],
)
def test_removal(compared: Compared, marks: dict[str, Any], breaks: bool) -> None:
    """An operation may go on or after its sunset, or when it never promised to stay."""
    assert bool(breaking(compared(document(operation(**marks)), document()))) is breaks


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"deprecated": True, "x-sunset": "2026-12-31"}, []),
        ({}, {"deprecated": True, "x-sunset": "2026-07-01"}, ["document.sunset.early"]),
        ({}, {"deprecated": True, "x-sunset": "2026-07-15", "x-stability-level": "beta"}, ["document.stability.narrowed"]),
        (
            {"deprecated": True, "x-sunset": "2027-06-01"},
            {"deprecated": True, "x-sunset": "2026-07-01"},
            ["document.sunset.early"],
        ),
        ({"deprecated": True, "x-sunset": "2026-07-01"}, {"deprecated": True, "x-sunset": "2026-08-01"}, []),
        ({}, {"deprecated": True}, []),
        ({}, {"deprecated": True, "x-sunset": "soon"}, ["document.sunset.undecided"]),
        ({"deprecated": True, "x-sunset": "soon"}, {"deprecated": True, "x-sunset": "soon"}, []),
        ({"deprecated": True, "x-sunset": "2027-06-01"}, {"deprecated": True}, ["document.sunset.removed"]),
        ({"deprecated": True, "x-sunset": "2027-06-01"}, {}, []),
        ({"deprecated": True, "x-sunset": "2028-06-01"}, {"deprecated": True, "x-sunset": "2028-05-01"}, []),
        ({}, {"x-stability-level": "firm"}, ["document.stability.undecided"]),
        ({"x-stability-level": "beta"}, {"x-stability-level": "stable"}, []),
        ({}, {"x-stability-level": ["beta"]}, ["document.stability.undecided"]),
    ],
)
def test_marks(compared: Compared, old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    """Clients get the notice that the stability level promises, and a promise is not taken back."""
    assert breaking(compared(document(operation(**old)), document(operation(**new)))) == expected


def test_without_notice_a_deprecation_needs_no_date(compared: Compared) -> None:
    """Where a project promises no days, what is deprecated may go; elsewhere a date has to be told."""
    old = document(operation(deprecated=True))
    assert breaking(compared(old, document(), notice={"stable": 0})) == []
    assert breaking(compared(old, document(), notice={"stable": 1})) == ["request.operation.removed"]


def test_a_part_promises_what_its_operation_does_or_says_itself(compared: Compared) -> None:
    """A property may be less stable than its operation, and a promise of it is not taken back either."""

    def api(**marks: Any) -> dict[str, Any]:
        return document(body({"type": "object", "properties": {"a": {"type": "string", **marks}}}))

    assert breaking(compared(api(**{"x-stability-level": "stable"}), api())) == []
    (change,) = compared(api(), api(**{"x-stability-level": "draft"})).changes
    assert (change.id, change.message) == ("document.stability.narrowed", "the body at a: was stable and is draft")
    (change,) = compared(api(**{"x-stability-level": "draft"}), api(**{"x-stability-level": "beta"})).changes
    assert (change.id, change.level) == ("document.stability.widened", Level.INFO)


def test_a_version_group_may_promise_less(compared: Compared) -> None:
    """The stability of a path prefix holds for operations that do not speak for themselves."""
    old = document({"/v2/items": operation()["/items"]})
    assert breaking(compared(old, document())) == ["request.operation.removed"]
    assert breaking(compared(old, document(), versions={"/v2": "alpha"})) == []


def test_headers_and_document_agree(compared: Compared) -> None:
    """What the routes announce has to stand in the document."""
    marked = document(operation(deprecated=True, **{"x-sunset": "2027-01-01"}))
    told = {"POST /items": {"sunset": "2027-01-01", "headers": {"Deprecation": "@1767225600"}}}
    assert breaking(compared(marked, marked, served=told)) == []
    assert breaking(compared(document(operation()), document(operation()), served=told)) == ["document.deprecation.changed"]
    (change,) = compared(document(operation()), document(operation()), served=told).changes
    assert change.counterexample == {"response": {"headers": {"Deprecation": "@1767225600"}}}
    told["POST /items"]["sunset"] = "2026-09-01"
    assert breaking(compared(marked, marked, served=told)) == ["document.deprecation.changed"]
    (change,) = compared(marked, marked, served={}).changes
    assert (change.id, change.level) == ("document.header.missing", Level.WARNING)
    assert compared(marked, marked, served=None).changes == ()


ENDED = {"deprecated": True, "x-sunset": "2026-06-01"}
RUNNING = {"deprecated": True, "x-sunset": "2026-06-02"}
UNREADABLE = {"deprecated": True, "x-sunset": "soon"}


@pytest.mark.parametrize(
    ("marks", "level"), [({}, "warning"), (ENDED, "info"), (RUNNING, "breaking"), (UNREADABLE, "breaking")]
)
def test_an_optional_part_may_go_and_not_before_its_sunset(compared: Compared, marks: dict[str, Any], level: str) -> None:
    """Parameters and properties that nobody needs are ignored once they are gone; before a sunset that is a promise broken."""
    text = {"type": "string"}
    query = {"name": "q", "in": "query", "schema": text, **marks}
    item = {"type": "object", "properties": {"a": text, "b": {**text, **marks}}, "required": ["a"]}
    less = {"type": "object", "properties": {"a": text}, "required": ["a"]}
    for old, new, identity in (
        (operation(parameters=[query]), operation(), "request.parameter.removed"),
        (body(item), body(less), "request.property.removed"),
        (answer(item), answer(less), "response.property.removed"),
        (body({"type": "array", "items": item}), body({"type": "array", "items": less}), "request.property.removed"),
    ):
        (change,) = compared(document(old), document(new)).changes
        assert (change.id, change.level) == (identity, level)
        assert (change.counterexample is not None) is (level == "breaking")


def test_a_part_that_clients_need_may_go_after_its_sunset(compared: Compared) -> None:
    """A required property of an answer, or one that a closed request took, may be gone once its announced day has come."""
    text = {"type": "string"}

    def item(**marks: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"a": text, "b": {**text, **marks}}, "required": ["b"]}

    empty = {"type": "object", "properties": {"a": text}}
    assert breaking(compared(document(answer(item())), document(answer(empty)))) == ["response.property.optional"]
    assert breaking(compared(document(answer(item(**RUNNING))), document(answer(empty)))) == ["response.property.optional"]
    assert breaking(compared(document(answer(item(**ENDED))), document(answer(empty)))) == []
    still = {"type": "object", "properties": {"a": text, "b": text}}
    assert breaking(compared(document(answer(item(**ENDED))), document(answer(still)))) == ["response.property.optional"]


def test_parts_get_notice_as_operations_do(compared: Compared) -> None:
    """The marks of parameters and properties are compared as those of operations are, below components too."""

    def api(**marks: Any) -> dict[str, Any]:
        node = {"type": "object", "properties": {"a": {"type": "string", **marks}, "next": {"$ref": "#/components/schemas/N"}}}
        parts = body({"type": "array", "items": {"$ref": "#/components/schemas/N"}})
        return document(parts, components={"schemas": {"N": node}})

    early = {"deprecated": True, "x-sunset": "2026-06-20"}
    (change,) = compared(api(), api(**early)).changes[:1]
    assert (change.id, change.location) == ("document.sunset.early", "/components/schemas/N/properties/a")
    assert change.message.startswith("the body at */a: its sunset on 2026-06-20")
    assert [change.id for change in compared(api(), api(deprecated=True)).changes] == [
        "document.sunset.missing",
        "document.deprecation.added",
    ]
    query = {"name": "q", "in": "query", "schema": {"type": "string"}}
    old, new = (document(operation(parameters=[{**query, **marks}])) for marks in ({}, early))
    assert breaking(compared(old, new)) == ["document.sunset.early"]


@pytest.mark.parametrize(
    ("old", "new", "bumped"),
    [
        ("1.0.0", "1.0.0", False),
        ("1.0.0", "1.1.0", False),
        ("1.0.0", "2.0.0", True),
        ("0.1.0", "0.2.0", True),
        ("x", "x", None),
    ],
)
def test_a_breaking_change_asks_for_a_major_version(compared: Compared, old: str, new: str, bumped: bool) -> None:
    """The step that semantic versioning asks for is told; below 1.0 a minor step will do."""
    before, after = document(operation()), document()
    before["info"]["version"], after["info"]["version"] = old, new
    result = compared(before, after)
    assert result.bump == "major"
    assert result.bumped is bumped


@pytest.mark.parametrize(
    ("old", "new", "bumped"),
    [
        ("1.0.0", "1.0.1", False),
        ("1.0.0", "1.1.0", True),
        ("1.9.0", "2.0.0", True),
        ("2.1.0", "1.2.0", False),
        ("0.1.0", "0.1.1", True),
    ],
)
def test_what_is_new_asks_for_a_minor_version(compared: Compared, old: str, new: str, bumped: bool) -> None:
    """A change that breaks nobody needs a minor step, below 1.0 a patch; no change needs none."""
    before, after = document(), document(operation())
    before["info"]["version"], after["info"]["version"] = old, new
    result = compared(before, after)
    assert (result.bump, result.bumped) == ("minor", bumped)
    assert compared(before, before).bump == "none"
