"""Files that are no Python: manifests, images and pipelines."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastness.tool.check.examples import project
from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.project import Project


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files that start with a dot, and a link out of it."""
    for path in ("Dockerfile", ".github/workflows/ci.yml", "web/Dockerfile", "web/a/b/Dockerfile"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "Dockerfile.link").symlink_to("/etc/hostname")
    return tmp_path


def test_patterns_are_of_the_root(tree: Path) -> None:
    """A pattern means one depth, hidden directories count, and links are not followed."""
    found = [path for path, _ in Project({}, root=tree).glob("Dockerfile*", "*/Dockerfile", ".github/workflows/*.yml")]
    assert found == ["Dockerfile", "web/Dockerfile", ".github/workflows/ci.yml"]


def test_links_to_directories_are_not_followed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What lies outside of the project is not of it, neither by pattern nor by name."""
    outside = tmp_path_factory.mktemp("outside")
    for name in ("Dockerfile", "pyproject.toml"):
        (outside / name).write_text(name)
    (tree / "linked").symlink_to(outside, target_is_directory=True)
    project = Project({}, root=tree)
    assert [path for path, _ in project.glob("*/Dockerfile")] == ["web/Dockerfile"]
    assert project.files("pyproject.toml") == []


def test_every_question_is_noted_with_its_answer(tree: Path) -> None:
    """What was found, and that nothing was; the same files have the same digest, other ones another."""
    first, second = Project({}, root=tree), Project({}, root=tree)
    for asked in (first, second):
        asked.glob("Dockerfile")
        asked.files("uv.lock")
        assert set(asked.asked) == {("glob", "Dockerfile"), ("files", "uv.lock")}
    assert first.asked == second.asked
    (tree / "web/uv.lock").write_text("")
    (tree / "Dockerfile").write_text("FROM scratch")
    third = Project({}, root=tree)
    assert third.ask("glob", "Dockerfile") != first.asked["glob", "Dockerfile"]
    assert third.ask("files", "uv.lock") != first.asked["files", "uv.lock"]


def test_patterns_mean_the_same_in_memory(tree: Path) -> None:
    """Files that were given as text are found as those on disk are."""
    texts = {"Dockerfile": "", "web/Dockerfile": "", "web/a/b/Dockerfile": "", ".github/workflows/ci.yml": ""}
    patterns = ("Dockerfile*", "*/Dockerfile", ".github/workflows/*.yml")
    in_memory = [path for path, _ in project(texts).glob(*patterns)]
    assert in_memory == [path for path, _ in Project({}, root=tree).glob(*patterns)]


def test_the_repository_is_known_by_its_git_directory(tree: Path) -> None:
    """A directory inside of a repository does not hold what stands at its root."""
    assert not Project({}, root=tree).is_repository
    (tree / ".git").mkdir()
    assert Project({}, root=tree).is_repository


def test_the_last_stage_is_what_starts() -> None:
    """Continuation lines are one instruction; the commands of earlier stages are not production's."""
    image = (
        'FROM python:3.13 AS dev\nCMD ["fastapi", "dev"]\nFROM python:3.13\n# CMD old\nCMD ["uvicorn", \\\n     "app:app"]\n'
    )
    lines = list(delivery.commands(project({"Dockerfile": image, "Dockerfile.dev": 'FROM python:3\nCMD ["fastapi", "dev"]\n'})))
    assert [(line.path, line.number, line.text) for line in lines] == [("Dockerfile", 5, "CMD uvicorn app:app")]


def test_what_may_not_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory, a source and an image: each with the reason, and what is beside them is read."""
    for path in ("app/main.py", "app/private.py", "secret/main.py"):
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).write_text("x = 1\n")
    closed = {str(tree / path) for path in ("app/private.py", "secret", "web/Dockerfile")}

    def refuse(wanted: Callable[..., Any]) -> Callable[..., Any]:
        def instead(path: Path, *arguments: Any, **options: Any) -> Any:
            if str(path) in closed:
                raise PermissionError(13, "Permission denied")
            return wanted(path, *arguments, **options)

        return instead

    monkeypatch.setattr(os, "scandir", refuse(os.scandir))
    monkeypatch.setattr(Path, "read_bytes", refuse(Path.read_bytes))
    monkeypatch.setattr(Path, "read_text", refuse(Path.read_text))
    project = Project.at(tree)
    assert [path for path, _ in project.glob("Dockerfile", "*/Dockerfile")] == ["Dockerfile"]
    assert list(project.modules) == ["app/main.py"]
    assert project.unreadable == dict.fromkeys(("secret", "app/private.py", "web/Dockerfile"), "Permission denied")


def test_a_script_that_the_service_imports_is_part_of_it() -> None:
    """Through other scripts as well, relatively and in a function; not what scripts and tests import among themselves."""
    texts = {
        "app/main.py": "def start():\n    from .tools import (  # ours\n        find as found,\n    )\n",
        "app/routes.py": "import json, app.versions.v1 as v1\n",
        "app/tools/__init__.py": "",
        "app/tools/find.py": "from .words import split\n",
        "app/tools/words.py": "def split(): ...\n",
        "app/tools/load.py": "from app.tools import seed\n",
        "app/tools/seed.py": "",
        "app/versions/v1.py": "",
        "app/versions/a1.py": "",
        "tools/run/app.py": "",
        "tests/test_load.py": "from app.tools import load\n",
        "tests/tools/files.py": "",
        "app/more.py": "from tests.tools import files\n",
    }
    served = [module.path for module in project(texts).service if module.is_imported]
    assert served == ["app/tools/__init__.py", "app/tools/find.py", "app/tools/words.py", "app/versions/v1.py"]


def test_who_imports_a_script_may_change() -> None:
    """Another text of the file that imported it makes it a script again, and leaves the project of before as it was."""
    before = project({"app/main.py": "import app.tools.find\n", "app/tools/find.py": "x = 1\n"})
    after = before.changed({"app/main.py": "import json\n"})
    assert [len(one.service) for one in (before, after)] == [2, 1]
