"""What `fastness dev` finds in a directory: the app, its worker, its migrations. It reads files and imports nothing."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fastness.tool import declaration
from fastness.tool.errors import CommandError


@dataclass(frozen=True, slots=True)
class Service:
    """A service in the layout that `fastness new` writes.

    Attributes:
        directory: where `app/`, `migrations/` and `pyproject.toml` stand.
        worker: `fastness worker` has something to run.
        migrated: Alembic manages the schema.
    """

    directory: Path
    worker: bool
    migrated: bool


def find(directory: Path) -> Service:
    """The service in `directory`.

    Raises:
        CommandError: there is none, or what runs it is not installed.
    """
    main = directory / "app" / "main.py"
    if not main.is_file():
        raise CommandError(
            f"no app/main.py in {directory}: run this in the directory of a service, or make one with fastness new"
        )
    migrated = (directory / "alembic.ini").is_file()
    for needed in ("uvicorn", *(["alembic"] if migrated else [])):
        if find_spec(needed) is None:
            raise CommandError(
                f"{needed} is not installed here: install the service's dependencies, for instance pip install -e ."
            )
    return Service(directory=directory, worker=_has_worker(directory), migrated=migrated)


def _has_worker(directory: Path) -> bool:
    """Whether the worker's resources are named in `pyproject.toml`, or are where `fastness worker` looks for them."""
    if declaration.read(directory).text("worker") is not None:
        return True
    file = directory / "app" / "worker.py"
    if not file.is_file():
        return False
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return True  # its process will say what is wrong
    return any("resources" in _defined(node) for node in tree.body)


def _defined(node: ast.stmt) -> set[str]:
    """The names that a statement gives to a module."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
