"""The one door to FastAPI's internals, on FastAPI as it was and as it is: one app is described and answers in the same way.

Alone it runs on the version that is installed. `scripts/test --versions` installs others, each without anything of ours, and
names their directory in `FASTNESS_TEST_FASTAPI`.
"""

import os
import sys
from pathlib import Path

import pytest

from fastness.tool.boot import Boot, Wanted, examine
from fastness.tool.boot.app import Place

_APP = """
import time
from typing import List

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.routing import Route, Router

bearer = HTTPBearer()


class Credentials(BaseModel):
    username: str
    password: str


def session():
    yield 1


def current_user(token=Depends(bearer), db=Depends(session)):
    return 1


users = APIRouter(prefix="/users", dependencies=[Depends(current_user)])


@users.get("/{name}")
def one(name: str, limit: int = 10) -> List[int]:
    return []


@users.get("/me")
def me():
    return {}


public = APIRouter()


@public.post("/login", deprecated=True, status_code=201)
def login(credentials: Credentials): ...


@public.get("/slow", include_in_schema=False)
async def slow():
    time.sleep(0.6)


async def failed(request, error): ...


class Service(FastAPI):
    def __init__(self):
        super().__init__(debug=True)


api = APIRouter(prefix="/v1")
api.include_router(users)
api.include_router(public, prefix="/auth")
inner = Service()
app = FastAPI(title="Shop", exception_handlers={LookupError: failed})
app.include_router(api)
app.include_router(users, prefix="/v2")
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
app.mount("/inner", inner)
app.router.routes.append(Route("/plain", failed))


@app.websocket("/ws")
async def ws(socket): ...


@inner.get("/deep")
def deep() -> int: ...
"""


def _interpreters() -> list[str]:
    extra = os.environ.get("FASTNESS_TEST_FASTAPI")
    return [sys.executable, *sorted(str(found) for found in Path(extra).glob("*/bin/python"))] if extra else [sys.executable]


@pytest.fixture(params=_interpreters(), ids=lambda python: Path(python).parents[1].name)
def boot(request: pytest.FixtureRequest, tmp_path: Path) -> Boot:
    """The app on one version."""
    (tmp_path / "main.py").write_text(_APP)
    return examine(tmp_path, Wanted(target="main:app", python=request.param, probe=True, seconds=60))


def _line(text: str) -> int:
    return next(number for number, line in enumerate(_APP.split("\n"), 1) if text in line)


def test_versions_agree(boot: Boot) -> None:
    """Routes, their dependencies and parameters, middleware, handlers, places and answers are the same on every version."""
    assert not boot.gaps
    shop, inner = boot.app.apps
    assert (shop.title, shop.debug, shop.lifespan, shop.place) == (
        "Shop",
        False,
        False,
        Place("main.py", _line("app = FastAPI(title")),
    )
    assert (inner.prefix, inner.debug, inner.place) == ("/inner", True, Place("main.py", _line("inner = Service")))
    (cors,) = shop.middleware
    assert cors.name == "starlette.middleware.cors.CORSMiddleware"
    assert cors.place == Place("main.py", _line("CORSMiddleware, allow"))
    assert cors.options == {"allow_origins": ["*"], "allow_credentials": True}
    handlers = {handler.answers: handler.callee.name for handler in shop.handlers}
    assert handlers["builtins.LookupError"] == "main.failed"
    assert handlers["fastapi.exceptions.RequestValidationError"].startswith("fastapi.exception_handlers.")

    routes = {route.title: route for route in boot.app.routes if route.path not in {"/openapi.json", "/inner/openapi.json"}}
    served = [title for title in routes if "/docs" not in title and "/redoc" not in title]
    assert served == [
        "GET /v1/users/{name}",
        "GET /v1/users/me",
        "POST /v1/auth/login",
        "GET /v1/auth/slow",
        "GET /v2/users/{name}",
        "GET /v2/users/me",
        "MOUNT /inner",
        "GET/HEAD /plain",
        "WEBSOCKET /ws",
        "GET /inner/deep",
    ]
    hidden = {route.path: boot.app.routes[route.hidden_by].path for route in routes.values() if route.hidden_by is not None}
    assert hidden == {"/v1/users/me": "/v1/users/{name}", "/v2/users/me": "/v2/users/{name}"}

    one, login = routes["GET /v1/users/{name}"], routes["POST /v1/auth/login"]
    assert one.endpoint is not None
    assert one.endpoint.place == Place("main.py", _line('@users.get("/{name}")'))
    assert one.response_model == "List[int]"
    guards = [(step.callee.name, step.scheme, step.generator) for step in one.tree() if step.callee is not None]
    assert guards == [
        ("main.current_user", False, False),
        ("fastapi.security.http.HTTPBearer", True, False),
        ("main.session", False, True),
    ]
    own = {(parameter.where, parameter.name, parameter.type, parameter.required) for parameter in one.parameters}
    assert own == {("path", "name", "str", True), ("query", "limit", "int", False)}
    assert (login.deprecated, login.status_code, login.include_in_schema) == (True, 201, True)
    assert [(p.where, p.required, p.fields) for p in login.parameters] == [("body", True, ("password", "username"))]
    assert (login.response_model, login.media_type) == (None, "application/json")
    assert not routes["GET /v1/auth/slow"].include_in_schema

    assert boot.probed is not None
    statuses = {name: answer.status for name, answer in boot.probed.answers.items()}
    assert {name: statuses[name] for name in ("fine", "missing", "method", "invalid", "failed")} == {
        "fine": 200,
        "missing": 404,
        "method": 405,
        "invalid": 422,
        "failed": 500,
    }
    assert boot.probed.answers["origin"].header("access-control-allow-origin") == boot.probed.origin
    calls = {called.route.path: called for called in boot.probed.called}
    assert calls["/v1/users/{name}"].answer.status in (401, 403)
    assert calls["/v1/auth/slow"].stall > 0.2
    assert calls["/v1/auth/slow"].stack[-1].place == Place("main.py", _line("time.sleep"))
