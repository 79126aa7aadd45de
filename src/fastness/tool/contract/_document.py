"""Writes the OpenAPI document of an app to a file. Runs alone in the project's interpreter, which may lack this package.

    python _document.py MODULE:ATTRIBUTE FILE

The file gets `{"openapi": ..., "deprecations": {"GET /path": {"sunset": "2026-12-31", "headers": {"Deprecation": ...}}}}`;
`deprecations` is null where this package is not installed.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any, NoReturn


def main() -> None:
    """Import the app and write; a message on standard error and exit code 3 when the name leads to no app."""
    target, path = sys.argv[1:3]
    # This file's own directory comes first, and would hide modules of the project that have the names of its neighbours.
    sys.path[0] = str(Path.cwd())
    module, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            fail(f"there is no module {module} here")
        raise
    for name in (attribute or "app").split("."):
        if not hasattr(found, name):
            fail(f"{module} has no {attribute or 'app'}")
        found = getattr(found, name)
    if not hasattr(found, "openapi") and callable(found) and not isinstance(found, type):
        found = found()
    if not callable(getattr(found, "openapi", None)):
        fail(f"{target} is not a FastAPI app but a {type(found).__name__}")
    result = {"openapi": found.openapi(), "deprecations": deprecations(found)}
    Path(path).write_text(json.dumps(result, default=str), encoding="utf-8")


def fail(message: str) -> NoReturn:
    """End with one line."""
    sys.stderr.write(message + "\n")
    sys.exit(3)


def deprecations(app: Any) -> dict[str, Any] | None:
    """What routes announce through `fastness.versioning.Deprecated`, by method and path."""
    try:
        from fastapi.routing import iter_route_contexts

        from fastness.versioning import Deprecated
    except ImportError:
        return None
    found = {}
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is None or not getattr(route, "include_in_schema", True):
            continue
        mark = innermost(dependant, Deprecated)
        if mark is not None:
            operation: dict[str, Any] = {"responses": {"200": {}}}
            mark.document_operation(operation)
            headers = {name: header["example"] for name, header in operation["responses"]["200"]["headers"].items()}
            for method in route.methods or ():
                found[f"{method} {route.path_format}"] = {"sunset": operation.get("x-sunset"), "headers": headers}
    return found


def innermost(dependant: Any, kind: type) -> Any:
    """The dependency of a kind that runs last, which is the one whose headers are sent."""
    found = None
    for inner in dependant.dependencies:
        if isinstance(inner.call, kind):
            found = inner.call
        found = innermost(inner, kind) or found
    return found


if __name__ == "__main__":
    main()
