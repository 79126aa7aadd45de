"""`fastness migrate`: the schema, apart from deploy and start. Alembic does the work, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fastness.tool.errors import FAILED, OK, CommandError


def run(directory: Path, *, check: bool = False, sql: bool = False, dialect: str | None = None) -> int:
    """Bring the database of the service in `directory` up to date, and say what was done.

    Args:
        directory: where `alembic.ini` is.
        check: change nothing; fail when the database is behind, or when the tables in the code have no migration.
        sql: change nothing and connect nowhere; print the statements of all migrations.
        dialect: whose SQL; by default that of the service's database.

    Raises:
        CommandError: there are no migrations here.
    """
    if not (directory / "alembic.ini").is_file():
        raise CommandError(f"no alembic.ini in {directory}: run this in the directory of a service that has migrations")
    if sql:
        return _alembic(directory, *(("-x", f"dialect={dialect}") if dialect else ()), "upgrade", "head", "--sql")
    if check:
        behind = _alembic(directory, "current", "--check-heads")
        # Tables can only be compared with a database that is up to date.
        return behind or _alembic(directory, "check")
    done = _alembic(directory, "upgrade", "head")
    if done == OK:
        print("the schema is up to date")
    return done


def _alembic(directory: Path, *arguments: str) -> int:
    done = subprocess.run([sys.executable, "-m", "alembic", *arguments], cwd=directory, check=False)
    return OK if done.returncode == 0 else FAILED
