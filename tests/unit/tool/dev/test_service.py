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
    assert service.find(directory) == service.Service(directory=directory, worker=None, migrated=False)


def test_migrations(directory: Path) -> None:
    """`alembic.ini` says that there are migrations."""
    (directory / "alembic.ini").touch()
    assert service.find(directory).migrated


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("if __name__ == '__main__':\n    run()\n", True),
        ('import x\nif "__main__" == __name__:\n    x.run()\n', True),
        ("def run(): ...\n", False),
        ("# if __name__ == '__main__':\n", False),
        ("def f():\n    if __name__ == '__main__':\n        run()\n", False),
        ("def (", True),
    ],
)
def test_worker_is_a_module_that_runs_alone(directory: Path, text: str, found: bool) -> None:
    """A worker process is a module with a main block; one that does not parse is started, to say what is wrong."""
    (directory / "app/worker.py").write_text(text)
    assert service.find(directory).worker == ("app.worker" if found else None)


def test_nothing_there(tmp_path: Path) -> None:
    """A directory without app/main.py is no service."""
    with pytest.raises(CommandError, match=r"no app/main\.py"):
        service.find(tmp_path)


def test_missing_server_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the service and is not installed is named."""
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="uvicorn is not installed here"):
        service.find(directory)
