"""What the guard says of itself: in OpenAPI, in metrics, and when it is put together wrongly."""

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import FileResponse
from prometheus_client import REGISTRY
from starlette.middleware import Middleware
from starlette.routing import Mount

from fastness import idempotency, openapi, problems
from fastness.context import ContextMiddleware
from fastness.idempotency import Idempotent, IdempotentRoute, MemoryStore
from fastness.problems import ProblemMiddleware
from fastness.testing import asgi


def make(*routers, prefix=""):
    app = FastAPI(
        middleware=[Middleware(ContextMiddleware), Middleware(ProblemMiddleware)], exception_handlers=problems.handlers()
    )
    for router in routers:
        app.include_router(router, prefix=prefix)
    app.openapi = openapi.document(app)
    return app


def add(router, path, guard, **options):
    calls = []

    @router.post(path, status_code=201, dependencies=[Depends(guard)], **options)
    async def create(body: dict[str, int] | None = None) -> int:
        calls.append(body)
        return len(calls)

    return calls


def post(app, path, key="a"):
    return asgi.request(app, path, method="POST", headers={"idempotency-key": key}, state={"idempotency_store": MemoryStore()})


async def test_openapi_shows_the_key():
    """An operation documents the header, for how long it is remembered, the replays, and its problems."""
    router = APIRouter(route_class=IdempotentRoute)
    add(router, "/strict", Idempotent(keep=7200))
    add(router, "/loose", Idempotent(required=False, mode="store"))
    paths = make(router).openapi()["paths"]
    strict, loose = paths["/strict"]["post"], paths["/loose"]["post"]
    (header,) = strict["parameters"]
    assert (header["name"], header["in"], header["required"]) == ("Idempotency-Key", "header", True)
    assert "for 2 hours" in header["description"]
    assert loose["parameters"][0]["required"] is False
    assert "Idempotent-Replayed" in strict["responses"]["201"]["headers"]
    for operation, problem in ((strict, {"400", "409", "422"}), (loose, {"400", "409", "422", "503"})):
        assert problem | {"201", "default"} == set(operation["responses"])
        assert "Retry-After" in operation["responses"]["409"]["headers"]
    assert "required" in "".join(strict["responses"]["400"]["content"]["application/problem+json"]["examples"])
    assert "not known" in str(loose["responses"]["409"]["content"])
    assert "not known" not in str(strict["responses"]["409"]["content"])
    refs = strict["responses"]["422"]["content"]["application/problem+json"]["schema"]["anyOf"]
    assert [ref["$ref"].rpartition("/")[2] for ref in refs] == ["ValidationProblem", "Problem"]


async def test_a_route_without_the_route_class_fails_loudly(caplog):
    """A guard on a plain route refuses every request, says what to do, and does so at start where it is asked."""
    router = APIRouter(prefix="/a")
    calls = add(router, "/b", Idempotent(mode="store"))
    app = make(router)
    assert (await post(app, "/a/b")).status == 500
    assert "APIRouter(route_class=IdempotentRoute)" in caplog.text
    assert calls == []
    with pytest.raises(ValueError, match="POST /a/b is not an IdempotentRoute"):
        idempotency.verify(app)


async def test_verify_finds_streams():
    """A route whose answers stream by declaration is found at start."""
    router = APIRouter(route_class=IdempotentRoute)
    add(router, "/file", Idempotent(mode="store"), response_class=FileResponse)
    with pytest.raises(ValueError, match="POST /file streams"):
        idempotency.verify(make(router))


async def test_verify_passes_what_is_right():
    """Idempotent routes, plain routes without the guard, and routers without either pass."""
    router, plain = APIRouter(route_class=IdempotentRoute), APIRouter()
    add(router, "/a", Idempotent(mode="store"))
    add(plain, "/b", lambda: None)
    app = make(router, plain)
    app.mount("/static", FastAPI())
    idempotency.verify(app)


async def test_without_a_context_it_fails_closed(caplog):
    """Where nobody says who is calling, nobody gets an answer of somebody else's."""
    router = APIRouter(route_class=IdempotentRoute)
    calls = add(router, "/", Idempotent(mode="store"))
    app = FastAPI(exception_handlers=problems.handlers(), middleware=[Middleware(ProblemMiddleware)])
    app.include_router(router)
    assert (await post(app, "/")).status == 500
    assert "ContextMiddleware" in caplog.text
    assert calls == []


async def test_routes_without_the_guard_stay_as_they_are():
    """The route class alone changes nothing."""
    router = APIRouter(route_class=IdempotentRoute)
    calls = add(router, "/", lambda: None)
    app = make(router)
    assert [(await post(app, "/")).status for _ in range(2)] == [201, 201]
    assert len(calls) == 2


async def test_places_of_one_router_are_apart():
    """A router that is included or mounted several times has keys, and counts, for each place."""
    router = APIRouter(prefix="/orders", route_class=IdempotentRoute)
    calls = add(router, "", Idempotent(mode="store", store=MemoryStore()))
    app = make(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    app.mount("/sub", make(router))
    app.router.routes.append(Mount("/raw", router))
    for path in ("/v1", "/v2", "/sub", "/raw"):
        assert ["idempotent-replayed" in (await post(app, f"{path}/orders")).headers for _ in range(2)] == [False, True]
    assert len(calls) == 4


async def test_outcomes_are_counted():
    """Each outcome is counted by route template."""
    router = APIRouter(prefix="/counted", route_class=IdempotentRoute)
    store = MemoryStore()

    @router.post("/{number}", dependencies=[Depends(Idempotent(mode="store", store=store))])
    async def create(number: int) -> int:
        return 1 // number

    app = make(router)
    for path in ("/counted/1", "/counted/1", "/counted/2"):
        await post(app, path)
    await post(app, "/counted/0", key="b")

    def count(outcome):
        labels = {"http_route": "/counted/{number}", "outcome": outcome}
        return REGISTRY.get_sample_value("fastness_idempotency_requests_total", labels)

    assert {name: count(name) for name in ("executed", "replayed", "mismatch", "unknown", "undone")} == {
        "executed": 1,
        "replayed": 1,
        "mismatch": 1,
        "unknown": 1,
        "undone": 0,
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keep": 0}, "keep=0"),
        ({"lease": 0}, "lease=0"),
        ({"max_answer": -1}, "max_answer=-1"),
        ({"by": "client"}, "by='client'"),
        ({"mode": "redis"}, "mode='redis'"),
        ({"headers": ["Set-Cookie"]}, "set-cookie"),
        ({"headers": "etag"}, "must be a list"),
        ({"store": MemoryStore()}, "mode='store'"),
        ({"refusals": [KeyError]}, "mode='store'"),
    ],
)
def test_arguments_are_checked(options, says):
    """A value that cannot work is refused with its name."""
    with pytest.raises(ValueError, match=says):
        Idempotent(**options)
