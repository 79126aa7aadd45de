"""Every snippet of the README does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from fastness.testing import asgi

ROOT = Path(__file__).parents[2]
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in SNIPPETS if language == "python"]


def run(code: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, "README.md", "exec", dont_inherit=True), namespace)
    return namespace


@pytest.mark.usefixtures("configure")  # which puts the logging back that snippets set up
@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
async def test_python_snippets_make_apps_that_serve(code: str) -> None:
    """Each is complete: it runs, and its app starts, documents itself and answers."""
    app = run(code)["app"]
    assert isinstance(app, FastAPI)
    async with asgi.lifespan(app) as state:
        assert app.openapi()["openapi"]
        response = await asgi.request(app, "/nowhere", headers={"host": "localhost"}, state=state)
    assert response.status == 404


def test_every_shell_line_is_known() -> None:
    """Commands in the README are those that CI runs: the demo, the tests, and what the tests of `fastness new` execute."""
    lines = {line.partition("  #")[0].strip() for language, code in SNIPPETS if language == "sh" for line in code.splitlines()}
    assert lines == {"scripts/demo", "scripts/test", "fastness new shop", "cd shop", "fastness dev"}
    for script in ("scripts/demo", "scripts/test"):
        assert (ROOT / script).stat().st_mode & 0o111
