"""What `fastness dev` finds in a directory: the app, its worker, its migrations. It reads files and imports nothing."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fastness.tool.errors import CommandError


@dataclass(frozen=True, slots=True)
class Service:
    """A service in the layout that `fastness new` writes.

    Attributes:
        directory: where `app/`, `migrations/` and `pyproject.toml` stand.
        worker: module of the worker process, or None when the service has none of its own.
        migrated: Alembic manages the schema.
    """

    directory: Path
    worker: str | None
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
    worker = "app.worker" if _runs_alone(directory / "app" / "worker.py") else None
    return Service(directory=directory, worker=worker, migrated=migrated)


def _runs_alone(file: Path) -> bool:
    """The module at `file` does something under `if __name__ == "__main__":`; others are run by the app itself."""
    if not file.is_file():
        return False
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return True  # its process will say what is wrong
    return any(
        isinstance(node, ast.If) and ast.unparse(node.test) in {"__name__ == '__main__'", "'__main__' == __name__"}
        for node in tree.body
    )
