"""Versions that a project asks for."""

from fastness.tool.check.examples import project
from fastness.tool.project.requirements import Requirements


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
