"""Versions that a project asks for."""

import pytest

from fastness.tool.check.examples import project
from fastness.tool.project.files.requirements import Requirements

_FREE = 1 << 30


def test_every_kind_of_file_is_read() -> None:
    """Requirements, PEP 621, Poetry and locks all tell a version; names are normalised."""
    requirements = Requirements(
        project(
            {
                "requirements.txt": "# comment\n-r base.txt\npydantic[email]==1.10.4 ; python_version > '3.8'\n",
                "backend/pyproject.toml": '[project]\ndependencies = ["FastAPI>=0.100,<1", "typing_extensions"]\n'
                '[tool.poetry.dependencies]\nSQLAlchemy = "^2.0"\nredis = {version = "5.0", extras = ["hiredis"]}\n',
                "uv.lock": '[[package]]\nname = "httpx"\nversion = "0.28.1"\n',
            }
        )
    )
    majors = {name: requirements.major(name) for name in ("pydantic", "fastapi", "sqlalchemy", "redis", "httpx")}
    assert majors == {"pydantic": 1, "fastapi": 0, "sqlalchemy": 2, "redis": 5, "httpx": 0}
    assert requirements.has("typing-extensions")
    assert requirements.major("typing-extensions") is None
    assert requirements.major("django") is None


def test_a_broken_file_says_nothing() -> None:
    """A file that is not TOML is no reason to stop."""
    assert Requirements(project({"pyproject.toml": "[project"})).stated == {}


@pytest.mark.parametrize(
    ("specifier", "newest"),
    [
        ("==0.115.2", (0, 115, 2)),
        ("==0.115.*", (0, 115, _FREE)),
        (">=0.100,<0.110", (0, 109, _FREE)),
        (">=0.100, <1.0", (0, _FREE)),
        ("<=0.99.1", (0, 99, 1)),
        ("^0.104.1", (0, 104, _FREE)),
        ("^1.2", (1, _FREE)),
        ("~=0.104.1", (0, 104, _FREE)),
        ("~=1.4", (1, _FREE)),
        (">=0.100", None),
        ("", None),
        ("!=0.99", None),
    ],
)
def test_the_newest_version_is_the_upper_bound(specifier: str, newest: tuple[int, ...] | None) -> None:
    """Exact versions, carets, tildes and upper bounds say which version can be installed at most; a lower bound does not."""
    assert Requirements(project({"requirements.txt": f"fastapi{specifier}\n"})).newest("fastapi") == newest


def test_a_lock_comes_before_a_range() -> None:
    """What the lock installs is what runs."""
    stated = {
        "pyproject.toml": '[project]\ndependencies = ["fastapi<1"]\n',
        "uv.lock": '[[package]]\nname = "fastapi"\nversion = "0.99.0"\n',
    }
    assert Requirements(project(stated)).newest("fastapi") == (0, 99, 0)
