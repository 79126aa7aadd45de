"""What `fastness dev` finds in a directory, without importing it."""

from pathlib import Path

import pytest

from fastness.tool.dev import service
from fastness.tool.errors import CommandError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A service whose code must not run."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/main.py").write_text("raise SystemExit('imported')")
    return tmp_path


def test_app_alone(directory: Path) -> None:
    """An app is enough."""
    assert service.find(directory) == service.Service(directory=directory, worker=False, migrated=False)


def test_migrations(directory: Path) -> None:
    """`alembic.ini` says that there are migrations."""
    (directory / "alembic.ini").touch()
    assert service.find(directory).migrated


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def resources(): ...\n", True),
        ("import x\nresources = x.Resources([])\n", True),
        ("resources: Resources = make()\n", True),
        ("from app.infra import worker as resources\n", True),
        ("def run(): ...\n", False),
        ("# def resources(): ...\n", False),
        ("def f():\n    resources = 1\n", False),
        ("def (", True),
    ],
)
def test_worker_is_a_module_with_resources(directory: Path, text: str, found: bool) -> None:
    """It is found where `fastness worker` looks; one that does not parse is started, to say what is wrong."""
    (directory / "app/worker.py").write_text(text)
    assert service.find(directory).worker is found


def test_worker_is_named_in_the_projects_table(directory: Path) -> None:
    """Wherever its resources are. A file that does not parse ends the command: it might have named one."""
    (directory / "pyproject.toml").write_text('[tool.fastness]\nworker = "shop.work:resources"\n')
    assert service.find(directory).worker
    (directory / "pyproject.toml").write_text("[tool.fastness")
    with pytest.raises(CommandError, match=r"pyproject\.toml cannot be read"):
        service.find(directory)


def test_nothing_there(tmp_path: Path) -> None:
    """A directory without app/main.py is no service."""
    with pytest.raises(CommandError, match=r"no app/main\.py"):
        service.find(tmp_path)


def test_missing_server_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the service and is not installed is named."""
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="uvicorn is not installed here"):
        service.find(directory)
