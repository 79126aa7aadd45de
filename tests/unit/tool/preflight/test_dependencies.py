"""Dependencies of a project, however it declares them."""

from pathlib import Path

import pytest

from fastness.tool.preflight import dependencies


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[project]\nrequires-python = ">=3.11"\ndependencies = ["FastAPI>=0.110,<1"]\n'),
        (
            "pyproject.toml",
            '[project]\nrequires-python = ">=3.11"\n[project.optional-dependencies]\nx = ["fastapi >=0.110,<1"]\n',
        ),
        (
            "pyproject.toml",
            '[project]\nrequires-python = ">=3.11"\n[dependency-groups]\nx = [{include-group = "y"}, "fastapi>=0.110,<1"]\n',
        ),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = ">=3.11"\nfastapi = ">=0.110,<1"\n'),
        ("pyproject.toml", '[tool.poetry.group.x.dependencies]\npython = ">=3.11"\nfastapi = {version = ">=0.110,<1"}\n'),
        ("Pipfile", '[packages]\nfastapi = ">=0.110,<1"\n'),
        ("requirements.txt", "# comment\n-r other.txt\nfastapi[standard]>=0.110,<1 ; python_version > '3'  # why\n"),
        ("requirements/base.txt", "fastapi>=0.110,<1\n"),
        ("setup.cfg", "[options]\npython_requires = >=3.11\ninstall_requires =\n  fastapi>=0.110,<1\n"),
    ],
)
def test_bounds_are_read_from(tmp_path: Path, file: str, text: str) -> None:
    """Every common way of declaring a bound is read."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    found = dependencies.read(tmp_path)
    assert found.bounds["fastapi"] == ">=0.110,<1"
    assert found.python == (">=3.11" if "3.11" in text else None)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("uv.lock", '[[package]]\nname = "FastAPI"\nversion = "0.165.0"\n'),
        ("poetry.lock", '[[package]]\nname = "fastapi"\nversion = "0.165.0"\n'),
        ("pylock.toml", '[[packages]]\nname = "fastapi"\nversion = "0.165.0"\n'),
        ("Pipfile.lock", '{"default": {"fastapi": {"version": "==0.165.0"}}}'),
        ("requirements.txt", "fastapi==0.165.0 \\\n    --hash=sha256:00\n"),
    ],
)
def test_locked_versions_are_read_from(tmp_path: Path, file: str, text: str) -> None:
    """Every common lock gives the exact version."""
    (tmp_path / file).write_text(text)
    assert dependencies.read(tmp_path).locked == {"fastapi": "0.165.0"}


@pytest.mark.parametrize("file", ["pyproject.toml", "uv.lock", "Pipfile.lock", "setup.cfg"])
def test_broken_files_are_named(tmp_path: Path, file: str) -> None:
    """A file that cannot be read is reported, not passed over."""
    (tmp_path / file).write_text("[[[ {")
    (report,) = dependencies.read(tmp_path).unreadable
    assert report.startswith(f"{file}: ")


def test_we_bring_what_we_depend_on(tmp_path: Path) -> None:
    """A service that depends on `fastness` has FastAPI, and with extras what those install; its own bounds come first."""
    (tmp_path / "requirements.txt").write_text("fastness[all]\n")
    assert {"sqlalchemy", "aiosqlite", "psycopg", "joserfc"} <= dependencies.read(tmp_path).bounds.keys()
    (tmp_path / "requirements.txt").write_text("fastness\n")
    bounds = dependencies.read(tmp_path).bounds
    assert bounds["fastapi"].startswith(">=")
    assert "sqlalchemy" not in bounds
    (tmp_path / "requirements.txt").write_text("fastness\nfastapi==0.165.0\n")
    assert dependencies.read(tmp_path).locked["fastapi"] == "0.165.0"
