"""What import-linter's contracts (pyproject.toml) cannot say of the source; that they hold is for scripts/check."""

import ast
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "fastness"
MODULES = sorted(path for path in SOURCE.rglob("*.py"))

# Below the top level of its distribution, so that a contract would take it for all of `opentelemetry`, whose API comes with
# FastAPI and may be used anywhere.
DOORS = {
    "opentelemetry.sdk": "telemetry",
    "opentelemetry.exporter": "telemetry",
}


@cache
def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("door", DOORS)
def test_optional_parts_of_opentelemetry_have_one_door(door: str) -> None:
    """The OpenTelemetry SDK and its exporters are imported by telemetry and nothing else."""
    importers = {
        path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for path in MODULES
        if any(name == door or name.startswith(f"{door}.") for name in imported(path))
    }
    assert importers <= {DOORS[door]}


def test_every_extra_has_a_contract() -> None:
    """An optional dependency that the runtime imports stands in a contract or among the doors above."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    guarded = {
        name for contract in document["tool"]["importlinter"]["contracts"] for name in contract.get("protected_modules", ())
    }
    free = {"fastapi", "starlette", "pydantic", "pydantic_core", "pydantic_settings", "opentelemetry", "anyio", "fastness"}
    found = {
        name.partition(".")[0]
        for path in MODULES
        if path.relative_to(SOURCE).parts[0] not in ("tool", "testing")
        for name in imported(path)
    }
    assert found - free - guarded - sys.stdlib_module_names == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_every_module_says_what_it_is(path: Path) -> None:
    """A module starts with a docstring whose first line is whole, and none is longer than about 400 lines."""
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "say in one sentence what lives in the module"
    assert docstring.partition("\n")[0].rstrip()
    assert len(text.splitlines()) <= 420


def test_nothing_derives_from_base_http_middleware() -> None:
    """No module imports Starlette's BaseHTTPMiddleware, which costs some 100 microseconds a request and breaks contextvars."""
    assert [path for path in MODULES if "starlette.middleware.base" in imported(path)] == []


def test_arguments_are_not_checked_with_assert() -> None:
    """The runtime has no assert statement, since `python -O` removes them."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        if "testing" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == []
