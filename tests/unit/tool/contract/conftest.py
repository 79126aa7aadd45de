"""Documents in few words."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from fastness.tool.contract import sources
from fastness.tool.contract.compare import Result, compare
from fastness.tool.contract.settings import Settings

TODAY = date(2026, 6, 1)


def document(paths: Any = None, *, version: str = "3.1.0", **parts: Any) -> dict[str, Any]:
    """An OpenAPI document with these paths."""
    return {"openapi": version, "info": {"title": "t", "version": "1.0.0"}, "paths": paths or {}, **parts}


def operation(**parts: Any) -> dict[str, Any]:
    """Paths with one operation, `POST /items`, that answers 200."""
    return {"/items": {"post": {"responses": {"200": {"description": "ok"}}, **parts}}}


def body(schema: Any, **parts: Any) -> dict[str, Any]:
    """The same with a JSON body."""
    return operation(requestBody={"required": True, "content": {"application/json": {"schema": schema}}}, **parts)


def answer(schema: Any) -> dict[str, Any]:
    """The same with a JSON answer."""
    return operation(responses={"200": {"description": "ok", "content": {"application/json": {"schema": schema}}}})


@pytest.fixture
def compared() -> Callable[..., Result]:
    """Compares two documents on a fixed day."""

    def run(old: dict[str, Any], new: dict[str, Any], **options: Any) -> Result:
        served = options.pop("served", None)
        settings = Settings(today=TODAY, **options)
        return compare(
            sources.checked(old, label="old", old=True), sources.checked(new, label="new", old=False), settings, served=served
        )

    return run


def breaking(result: Result) -> list[str]:
    """The ids of what breaks."""
    return [change.id for change in result.changes if change.breaks]
