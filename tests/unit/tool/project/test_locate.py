"""Which files are a project's own."""

from pathlib import Path

import pytest

from fastness.tool.project.files import locate


def _tree(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x = 1\n")


def test_vendored_code_is_not_the_projects(tmp_path: Path) -> None:
    """Virtual environments of any name, caches, hidden and vendored directories are left out."""
    _tree(
        tmp_path,
        "app/main.py",
        "node_modules/a.py",
        ".venv/b.py",
        "app/_vendor/c.py",
        "env/lib/d.py",
        "x.egg-info/e.py",
        "README.md",
    )
    (tmp_path / "env/pyvenv.cfg").write_text("home = /usr\n")
    assert list(locate.python_files(tmp_path, {})) == ["app/main.py"]


@pytest.mark.parametrize(
    ("pattern", "ignored"),
    [
        ("generated/", {"generated/a.py", "app/generated/b.py"}),
        ("/generated", {"generated/a.py"}),
        ("*_pb2.py", {"app/x_pb2.py"}),
        ("app/**/b.py", {"app/generated/b.py"}),
        ("app/*\n!app/main.py", {"app/x_pb2.py", "app/generated/b.py"}),
        ("# app\n\n", set()),
    ],
)
def test_gitignore_is_honoured(tmp_path: Path, pattern: str, ignored: set[str]) -> None:
    """Patterns match as git matches them: anchored by a slash, by name without one, and the last one decides."""
    everything = {"app/main.py", "app/x_pb2.py", "app/generated/b.py", "generated/a.py"}
    _tree(tmp_path, *everything)
    (tmp_path / ".gitignore").write_text(pattern)
    assert set(locate.python_files(tmp_path, {})) == everything - ignored


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    """Symbolic links are not followed, so a loop of them cannot trap the walk."""
    _tree(tmp_path, "app/main.py")
    (tmp_path / "app/again").symlink_to(tmp_path, target_is_directory=True)
    assert list(locate.python_files(tmp_path, {})) == ["app/main.py"]
