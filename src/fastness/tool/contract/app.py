"""What a project's app says of its API: its OpenAPI document, and what its routes announce in headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastness.tool.boot import BootedApp, Wanted, examine
from fastness.tool.boot.app import JSON
from fastness.tool.errors import CommandError, expect_directory

_CONVERTOR = re.compile(r"\{(\w+):\w+\}")


@dataclass(frozen=True, slots=True)
class Served:
    """What an app says.

    Attributes:
        document: its OpenAPI document.
        deprecations: what its routes announce in headers, by `METHOD /path`; None when its interpreter lacks this package.
    """

    document: dict[str, Any]
    deprecations: Mapping[str, Mapping[str, Any]] | None


def document(app: str, directory: Path, *, timeout: float, python: str | None = None) -> Served:
    """Ask the app for its document.

    Args:
        app: `module:attribute` of the app, or of a function without arguments that makes it.
        directory: the project; the app is imported from here.
        timeout: seconds that it may take. Then it is killed, with all it started.
        python: the interpreter; by default the project's virtual environment, else the active one, else this one.

    Raises:
        CommandError: there is no such app, importing it failed, or it took too long.
    """
    expect_directory(directory)
    patience = "timeout in [tool.fastness.contract] gives it more time"
    booted = examine(directory, Wanted(target=app, network=True, seconds=timeout, python=python, patience=patience)).app
    if booted.openapi is None:
        raise CommandError(f"{app} has no OpenAPI document: {booted.openapi_error}")
    return Served(dict(booted.openapi), _deprecations(booted) if booted.versions["fastness"] else None)


def _deprecations(app: BootedApp) -> dict[str, JSON]:
    """What routes announce through `fastness.versioning.Deprecated`: of several, the last to run, whose headers are sent."""
    found = {}
    for route in app.operations:
        marks = [step.deprecation for step in route.tree() if step.deprecation is not None]
        if marks and route.include_in_schema and route.app == 0:
            for method in route.methods:
                path = _CONVERTOR.sub(r"{\1}", route.path)
                found[f"{method} {path}"] = marks[-1]
    return found
