"""`fastness migrate` and `fastness doctor database`, in a service that was just generated."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastness.tool import scaffold

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command of the tool in a new service."""
    scaffold.create("shop", target=tmp_path / "shop", git=False)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fastness.tool", *arguments],
            cwd=tmp_path / "shop",
            env={**os.environ, "ENVIRONMENT": "test", **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_a_schema_is_behind_until_it_is_migrated(run: Run, postgres_url: str) -> None:
    """`--check` changes nothing, and fails until `fastness migrate` was run; that again has nothing to do."""
    assert run("migrate", "--check", DATABASE_URL=postgres_url).returncode == 1
    for _ in range(2):
        migrated = run("migrate", DATABASE_URL=postgres_url)
        assert (migrated.returncode, migrated.stdout) == (0, "the schema is up to date\n")
    assert run("migrate", "--check", DATABASE_URL=postgres_url).returncode == 0


def test_migrations_can_be_read_and_linted(run: Run, tmp_path: Path) -> None:
    """The SQL of all migrations needs no database, and takes no lock that would stop a running service."""
    written = run("migrate", "--sql", "--dialect", "postgresql")
    assert written.returncode == 0
    file = tmp_path / "shop" / "migrations.sql"
    file.write_text(written.stdout)
    lint = [Path(sys.executable).parent / "squawk", file.name]
    assert subprocess.run(lint, cwd=file.parent, check=False, capture_output=True).returncode == 0
    file.write_text(written.stdout + "ALTER TABLE events ADD COLUMN source text NOT NULL;")
    assert subprocess.run(lint, cwd=file.parent, check=False, capture_output=True).returncode == 1


def test_the_doctor_counts_connections(run: Run, postgres_url: str) -> None:
    """It fails when the pools of all processes do not fit, and quotes no password."""
    fits = run("doctor", "database", DATABASE_URL=postgres_url)
    assert fits.returncode == 0
    assert "up to 26 connections" in fits.stdout
    many = run("doctor", "database", DATABASE_URL=postgres_url, DATABASE_POOL_SIZE="5000")
    assert many.returncode == 1
    assert "too many" in many.stdout
    away = run("doctor", "database", DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x")
    assert away.returncode == 2
    assert "does not answer" in away.stderr
    assert "hunter2" not in away.stderr + away.stdout


def test_a_directory_without_migrations_is_told(tmp_path: Path) -> None:
    """One line says where to run it."""
    done = subprocess.run(
        [sys.executable, "-m", "fastness.tool", "migrate"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no alembic.ini" in done.stderr
