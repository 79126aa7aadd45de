"""What a version that a project asks for means to the rules."""

import pytest

from fastness.tool.check.examples import project
from fastness.tool.check.knowledge.facts import versions
from fastness.tool.project import Service


def _service(requirements: str, code: str = "app = None\n") -> Service:
    return Service(project({"requirements.txt": requirements, "app/main.py": code}))


@pytest.mark.parametrize(
    ("requirements", "is_2"),
    [
        ("pydantic>=2,<3\n", True),
        ("pydantic==2.5.0\n", True),
        ("pydantic==1.10.4\n", False),
        ("pydantic>=1.7.4,!=1.8,<3.0.0\n", False),
        ("pydantic<2\n", False),
        ("pydantic\n", False),
        ("fastapi==0.95.0\n", False),
    ],
)
def test_pydantic_is_2_when_it_must_be(requirements: str, is_2: bool) -> None:
    """Where Pydantic 1 may be installed, its code is right."""
    assert versions.pydantic_is_2(_service(requirements)) == is_2


def test_code_tells_the_version_of_pydantic() -> None:
    """Without a stated version, names that only Pydantic 2 has say which it is."""
    assert versions.pydantic_is_2(_service("", "from pydantic import field_validator\n"))
    assert not versions.pydantic_is_2(_service("", "from pydantic import BaseModel\n"))


@pytest.mark.parametrize(
    ("fastapi", "after"),
    [("==0.95.1", True), ("==0.106.0", False), ("^0.115", False), ("==0.118.0", True), (">=0.100", True), ("", True)],
)
def test_when_dependencies_end(fastapi: str, after: bool) -> None:
    """FastAPI 0.106 to 0.117 end dependencies before the response, all others after it; unbounded is the newest."""
    assert versions.ends_after_response(_service(f"fastapi{fastapi}\n")) == after


@pytest.mark.parametrize(("fastapi", "nested"), [("==0.136.1", False), ("==0.137.0", True), ("", True)])
def test_when_routes_are_nested(fastapi: str, nested: bool) -> None:
    """Since FastAPI 0.137 included routers are entries of their own."""
    assert versions.routes_are_nested(_service(f"fastapi{fastapi}\n")) == nested
