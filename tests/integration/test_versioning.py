"""Deprecations over HTTP: on which responses they are told, what is documented, and what is counted."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response, WebSocket
from fastapi.middleware import Middleware
from prometheus_client import REGISTRY

from fastness import openapi, problems
from fastness.context import ContextMiddleware
from fastness.problems import ProblemMiddleware
from fastness.testing import asgi, client
from fastness.versioning import Deprecated, Version

OLD = Deprecated(since=date(2026, 1, 1), sunset=date(2026, 7, 1), link="/docs/v1")
TOLD = {"deprecation": "@1767225600", "sunset": "Wed, 01 Jul 2026 00:00:00 GMT", "link": '</docs/v1>; rel="deprecation"'}


def guard(token: str | None = None) -> None:
    """Refuses the token that the tests send."""
    if token == "bad":
        raise HTTPException(401)


def items() -> APIRouter:
    """Routes of an API, one for each way to answer."""
    router = APIRouter(prefix="/items")

    @router.get("/{item}")
    async def read(item: int) -> dict[str, int]:
        return {"item": item}

    @router.get("/{item}/raw")
    async def raw(item: int) -> Response:
        return Response("raw")

    @router.get("/{item}/missing")
    async def missing(item: int) -> None:
        raise HTTPException(404)

    @router.get("/{item}/broken")
    async def broken(item: int) -> None:
        raise RuntimeError("broken")

    return router


def service(middleware: Sequence[Middleware]) -> FastAPI:
    """An app with a deprecated and a current version of the same routes."""
    app = FastAPI(middleware=middleware, exception_handlers=problems.handlers())
    for version in (Version("v1", deprecated=OLD), Version("v2")):
        router = version.router(dependencies=[Depends(guard)])
        router.include_router(items())
        app.include_router(router)
    app.openapi = openapi.document(app)  # type: ignore[method-assign]
    return app


def told(response: Any) -> dict[str, str]:
    """The headers about deprecation; each may be there once."""
    for name in TOLD:
        assert len(response.headers.get_list(name)) <= 1
    return {name: response.headers[name] for name in TOLD if name in response.headers}


FULL = (Middleware(ContextMiddleware), Middleware(ProblemMiddleware))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/items/1", 200),
        ("/items/1/raw", 200),
        ("/items/1/missing", 404),
        ("/items/one", 422),
        ("/items/1?token=bad", 401),
        ("/items/1/broken", 500),
    ],
)
async def test_every_answer_of_a_deprecated_version_tells_it(path: str, status: int) -> None:
    """With the middleware, successes, refusals and failures alike carry the headers once; the current version has none."""
    async with client(service(FULL), raise_errors=False) as http:
        answer = await http.get(f"/v1{path}")
        assert (answer.status_code, told(answer)) == (status, TOLD)
        answer = await http.get(f"/v2{path}")
        assert (answer.status_code, told(answer)) == (status, {})


async def test_without_the_middleware_what_is_serialised_tells_it() -> None:
    """The dependency alone reaches the responses that FastAPI makes, and no others."""
    async with client(service(())) as http:
        assert told(await http.get("/v1/items/1")) == TOLD
        assert told(await http.get("/v1/items/1/raw")) == {}
        assert told(await http.get("/v2/items/1")) == {}


async def test_what_is_answered_before_dependencies_run_does_not_tell_it() -> None:
    """An unknown path and a wrong method have no route, so nothing deprecated was called."""
    async with client(service(FULL)) as http:
        assert told(await http.get("/v1/nowhere")) == {}
        assert told(await http.delete("/v1/items/1")) == {}


async def test_route_and_include_can_be_deprecated_too() -> None:
    """The dependency works on one route and on one inclusion, and the innermost one speaks."""
    own = Deprecated(since=date(2025, 1, 1))
    router = APIRouter()

    @router.get("/plain")
    async def plain() -> None: ...

    @router.get("/own", dependencies=[Depends(own)])
    async def with_its_own() -> None: ...

    @router.get("/argument")
    async def as_argument(_: Annotated[None, Depends(own)]) -> None: ...

    for middleware in (FULL, ()):
        app = FastAPI(middleware=middleware)
        app.include_router(router, prefix="/old", dependencies=[Depends(OLD)])
        app.include_router(router, prefix="/new")
        async with client(app) as http:
            assert told(await http.get("/old/plain")) == TOLD
            assert told(await http.get("/new/plain")) == {}
            for path in ("/old/own", "/new/own", "/old/argument"):
                assert told(await http.get(path)) == {"deprecation": "@1735689600"}


async def test_openapi_marks_the_deprecated_version_alone() -> None:
    """The document shows deprecation, sunset and headers on the operations of the old version, also included ones."""
    async with client(service(FULL)) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    old, new = paths["/v1/items/{item}"]["get"], paths["/v2/items/{item}"]["get"]
    assert old["deprecated"] is True
    assert old["x-sunset"] == "2026-07-01"
    assert set(old["responses"]["200"]["headers"]) == {"Deprecation", "Sunset", "Link"}
    assert "deprecated" not in new
    assert "x-sunset" not in new


def calls(route: str) -> float:
    """Calls counted of a deprecated route."""
    labels = {"http_request_method": "GET", "http_route": route}
    return REGISTRY.get_sample_value("fastness_versioning_deprecated_requests_total", labels) or 0.0


async def test_calls_are_counted_by_full_template() -> None:
    """Each call of a deprecated route counts once under its template, whatever the parameters, and others do not."""
    before = calls("/v1/items/{item}")
    async with client(service(FULL)) as http:
        for item in range(3):
            await http.get(f"/v1/items/{item}")
            await http.get(f"/v2/items/{item}")
    assert calls("/v1/items/{item}") - before == 3
    assert calls("/v2/items/{item}") == 0


async def test_a_deprecated_websocket_is_counted_and_works() -> None:
    """WebSockets pass through; there is no response to put headers on."""
    app = FastAPI(middleware=FULL)

    @app.websocket("/socket", dependencies=[Depends(OLD)])
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    async with asgi.websocket(app, "/socket") as connection:
        assert (await connection.next())["type"] == "websocket.accept"
    labels = {"http_request_method": "WEBSOCKET", "http_route": "/socket"}
    assert REGISTRY.get_sample_value("fastness_versioning_deprecated_requests_total", labels)
