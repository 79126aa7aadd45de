"""Which resources `fastness worker` and `fastness jobs` take."""

import sys
from pathlib import Path

import pytest

from fastness.lifespan import Resources
from fastness.tool.errors import CommandError
from fastness.tool.jobs.target import load


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a module, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    name = f"module_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "from fastness.lifespan import Resources\n"
        "made = Resources([])\n"
        "def make(): return made\n"
        "def wrong(): raise ValueError('DATABASE_URL is missing')\n"
        "number = 5\n"
    )
    (tmp_path / "pyproject.toml").write_text(f'[tool.fastness]\nworker = "{name}:make"\n')
    return tmp_path / f"{name}.py"


def test_a_function_or_resources(service: Path) -> None:
    """Either will do, and without a name the one of the project's file is taken."""
    found = load(f"{service.stem}:made")
    assert isinstance(found, Resources)
    assert load(f"{service.stem}:make") is found
    assert load() is found


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("number", "is int, not"),
        ("missing", "has no missing"),
        ("wrong", "DATABASE_URL is missing"),
        ("", "not module:attribute"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(service: Path, attribute: str, told: str) -> None:
    """With what is wrong, and where."""
    with pytest.raises(CommandError, match=told):
        load(f"{service.stem}:{attribute}")


def test_a_directory_without_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    with pytest.raises(CommandError, match="directory of a service"):
        load("no_such_service.worker:resources")
