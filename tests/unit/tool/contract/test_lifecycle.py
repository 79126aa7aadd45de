"""Deprecation, sunset and stability: what was announced may happen, and not before."""

from collections.abc import Callable
from typing import Any

import pytest

from fastness.tool.contract.compare import Result

from .conftest import breaking, document, operation

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
        ({"x-stability-level": "beta"}, {"x-stability-level": "stable"}, []),
    ],
)
def test_marks(compared: Compared, old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    """Clients get the notice that the stability level promises, and a promise is not taken back."""
    assert breaking(compared(document(operation(**old)), document(operation(**new)))) == expected


def test_a_version_group_may_promise_less(compared: Compared) -> None:
    """The stability of a path prefix holds for operations that do not speak for themselves."""
    old = document({"/v2/items": operation()["/items"]})
    assert breaking(compared(old, document())) == ["request.operation.removed"]
    assert breaking(compared(old, document(), versions={"/v2": "alpha"})) == []


def test_headers_and_document_agree(compared: Compared) -> None:
    """What the routes announce has to stand in the document."""
    marked = document(operation(deprecated=True, **{"x-sunset": "2027-01-01"}))
    told = {"POST /items": {"deprecated": True, "sunset": "2027-01-01"}}
    assert breaking(compared(marked, marked, served=told)) == []
    assert breaking(compared(document(operation()), document(operation()), served=told)) == ["document.deprecation.changed"]
    told["POST /items"]["sunset"] = "2026-09-01"
    assert breaking(compared(marked, marked, served=told)) == ["document.deprecation.changed"]


@pytest.mark.parametrize(
    ("old", "new", "bumped"),
    [
        ("1.0.0", "1.0.0", False),
        ("1.0.0", "1.1.0", False),
        ("1.0.0", "2.0.0", True),
        ("0.1.0", "0.2.0", True),
        ("x", "x", True),
    ],
)
def test_a_breaking_change_asks_for_a_major_version(compared: Compared, old: str, new: str, bumped: bool) -> None:
    """The step that semantic versioning asks for is told; below 1.0 a minor step will do."""
    before, after = document(operation()), document()
    before["info"]["version"], after["info"]["version"] = old, new
    result = compared(before, after)
    assert result.bump == "major"
    assert result.bumped is bumped
