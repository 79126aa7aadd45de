"""Legal Python that no service has, or hardly one: no rule fails on it, none takes for ever, and none is led astray."""

from collections.abc import Mapping

import pytest

from fastness.tool.check.config import Config
from fastness.tool.check.engine import check
from fastness.tool.check.examples import files, project
from fastness.tool.check.rule import Good
from fastness.tool.findings import Report

START = "import requests\nfrom contextlib import suppress\nfrom fastapi import APIRouter, FastAPI, Request\napp = FastAPI()\n"
DOUBLED = "".join(f"def f{n}(v):\n    a = f{n + 1}(v)\n    b = f{n + 1}(v)\n    return a or b\n" for n in range(24))
LEGAL = {
    "nothing but an example": """
        # file: examples/app.py
        from fastapi import FastAPI, Request
        app = FastAPI()
        @app.get("/a")
        async def a(request: Request):
            return request.app.state.db.get()
    """,
    "routers in each other": f"""
        {START.replace(chr(10), chr(10) + " " * 8)}
        a, b = APIRouter(prefix="/a"), APIRouter(prefix="/b")
        a.include_router(b)
        b.include_router(a)
        app.include_router(a)
        @a.delete("/x/{{user_id}}")
        def x(user_id: int): ...
        @b.delete("/y/{{user_id}}")
        def y(user_id: int): ...
    """,
    "an attribute of a star": """
        from fastapi import FastAPI
        app = FastAPI()
        def keep(user, *objs):
            objs.user = user
        @app.get("/")
        def read(user: str):
            keep(user, app)
    """,
    "a condition made of itself": """
        from fastapi import FastAPI
        from starlette.middleware.base import BaseHTTPMiddleware
        class RateLimitMiddleware(BaseHTTPMiddleware):
            async def dispatch(self, request, call_next):
                while True:
                    skip = not skip
                    if skip:
                        return await call_next(request)
        app = FastAPI()
        app.add_middleware(RateLimitMiddleware)
        @app.post("/login")
        def login(password: str): ...
    """,
    "a type made of itself": """
        from fastapi import FastAPI
        T = T | None
        app = FastAPI()
        @app.get("/")
        def read(limit: T): ...
    """,
    "calls that double": f"""
        # file: main.py
        from fastapi import FastAPI
        from calls import f0
        app = FastAPI()
        @app.get("/")
        def read(name: str):
            open(f0(name))
        # file: calls.py
        {DOUBLED.replace(chr(10), chr(10) + " " * 8)}
        def f24(v):
            return 1
    """,
}
# What each of these does on the loop, whatever is given to `get`.
BLOCKING = {
    "held back": """
def get(key, fresh=False):
    if not fresh:
        with suppress(KeyError):
            return {}[key]
    return requests.get("https://example.org", timeout=3)
""",
    "set from inside": """
def get(key, again=False):
    def mark():
        nonlocal again
        again = True
    mark()
    if again:
        return requests.get("https://example.org", timeout=3)
""",
    "captured": """
def get(key, url=None):
    match {"u": key}:
        case {"u": url}:
            pass
    if url:
        return requests.get(url, timeout=3)
""",
    "one is not true": """
def get(key, flag=1):
    if flag is True:
        return 1
    return requests.get("https://example.org", timeout=3)
""",
}


def _report(sources: Mapping[str, str]) -> Report:
    report = check(project(dict(sources)), Config())
    assert not report.failures
    assert not report.not_checked
    return report


@pytest.mark.parametrize("form", LEGAL)
def test_no_rule_fails(form: str) -> None:
    """Nor takes longer than a test may."""
    assert _report(files(Good(LEGAL[form]))).files


@pytest.mark.parametrize("form", BLOCKING)
def test_a_branch_that_may_be_taken_is_on_the_way(form: str) -> None:
    """Literals rule a branch out only where nothing else can set the name or go on."""
    source = f"{START}{BLOCKING[form]}\n@app.get('/')\nasync def read(): return get('a')\n"
    assert "concurrency/blocking-call-in-async" in {one.rule for one in _report({"main.py": source}).findings}


def test_a_name_behind_a_star_has_no_place() -> None:
    """`a, *b, c = make()` does not say which of what is made `c` is."""
    made = "def make(): return 1, 2, requests.Session(), 'x'\n"
    source = f"{START}{made}@app.get('/')\nasync def read():\n    a, *b, c = make()\n    return c.get('https://example.org')\n"
    assert "concurrency/blocking-call-in-async" not in {one.rule for one in _report({"main.py": source}).findings}
