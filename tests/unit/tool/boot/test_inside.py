"""What runs in other interpreters: that it can run there, and what it sees."""

import ast
import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Router

from fastness.tool.boot import inside
from fastness.tool.boot.inside import probe, reach
from fastness.tool.boot.inside.client import Client, Lifespan
from fastness.tool.boot.inside.describe import contexts
from fastness.tool.boot.inside.watch import Watch

FILES = sorted(Path(inside.__file__).parent.glob("*.py"))
OLDEST = (3, 8)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_runs_where_nothing_of_ours_is_installed(file: Path) -> None:
    """It is Python 3.8, and imports only its neighbours, the standard library, and what FastAPI brings, when it is needed."""
    tree = ast.parse(file.read_text(), feature_version=OLDEST)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top in {"fastapi", "starlette", "pydantic"}, name
            assert top in sys.stdlib_module_names or node not in tree.body, f"{name} may not be there"


def _hidden(*routes: tuple[str, str]) -> dict[str, str]:
    """By each unreachable path, the path that answers instead."""
    app = FastAPI(openapi_url=None)
    for method, path in routes:

        def endpoint() -> None: ...

        app.add_api_route(path, endpoint, methods=[method])
    served = contexts(app)
    return {served[later].path: served[earlier].path for later, earlier in reach.hidden(served).items()}


@pytest.mark.parametrize(
    ("first", "second", "reached"),
    [
        ("/{name}", "/me", False),
        ("/me", "/{name}", True),
        ("/{name}", "/{other}", False),
        ("/{number:int}", "/{name}", True),
        ("/{name}", "/{number:int}", False),
        ("/{rest:path}", "/a/b", False),
        ("/a-{name}", "/{name}", True),
        ("/{name}/x", "/{name}/{other}", True),
        ("/a.b", "/{name}", True),
    ],
)
def test_reach(first: str, second: str, reached: bool) -> None:
    """A route is hidden by an earlier one that takes all that it was written for, and by none that takes some of it."""
    assert (second not in _hidden(("GET", first), ("GET", second))) == reached
    assert second not in _hidden(("POST", first), ("GET", second))


def test_reach_through_mounts_and_routers() -> None:
    """A mount hides what is below its path, and included routers stand in the order of their inclusion."""
    app = FastAPI(openapi_url=None)
    one, two = APIRouter(), APIRouter()
    one.add_api_route("/users/{name}", lambda name: None)
    two.add_api_route("/users/me", lambda: None)
    two.add_api_route("/files/list", lambda: None)
    app.include_router(one, prefix="/v1")
    app.router.routes.append(Mount("/v1/files", Router()))
    app.include_router(two, prefix="/v1")
    served = contexts(app)
    assert {served[k].path: served[v].path for k, v in reach.hidden(served).items()} == {
        "/v1/users/me": "/v1/users/{name}",
        "/v1/files/list": "/v1/files",
    }


async def test_client_collects_an_answer() -> None:
    """Status, headers, body and how much of the request was read come back; an exception and a time-out too."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        if scope["path"] == "/fails":
            raise ValueError
        if scope["path"] == "/hangs":
            await asyncio.sleep(60)
        await receive()
        await PlainTextResponse("x" * 100_000, 202, {"X-One": "1"})(scope, receive, send)

    client = Client(app, host="example.org", seconds=0.2)
    answer = await client.ask("POST", "/a", query="b=1", body=[b"12345", b"678"])
    assert (answer.status, answer.header("x-one"), len(answer.body), answer.read) == (202, "1", 65_536, 5)
    assert dict(seen["headers"])[b"content-length"] == b"8"
    assert (await client.ask("GET", "/fails")).error == "ValueError"
    assert (await client.ask("GET", "/hangs")).error == "no answer within 0.2 s"


async def test_lifespan_starts_and_stops() -> None:
    """The state of a start-up is kept, and a shutdown follows; an app without lifespan says so."""
    steps: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["pool"] = 1
        for step in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{step}"
            steps.append(step)
            await send({"type": f"lifespan.{step}.complete"})

    life = Lifespan(app, seconds=5)
    assert await life.start() is None
    assert life.state == {"pool": 1}
    assert await life.stop() is None
    assert steps == ["startup", "shutdown"]

    async def without(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("http only")

    assert await Lifespan(without, seconds=5).start() == "its startup failed: AssertionError: http only"


async def test_watch_names_the_line_that_stalls() -> None:
    """A busy loop is seen with its stack; a waiting one is not."""

    def busy() -> None:
        end = time.process_time() + 0.4
        while time.process_time() < end:
            pass

    async with Watch(seconds=0.1) as watch:
        for _ in range(20):  # a machine that has no processor for the watch hides a stall from it, but not from the loop
            watch.reset()
            busy()
            assert watch.held
            if watch.stall is not None:
                break
        stall = watch.stall
        assert stall is not None
        assert stall[0] > 0.1
        assert any(name.endswith("busy") for _, _, name in stall[1])
        watch.reset()
        await asyncio.sleep(0.05)
        assert watch.stall is None


SEEN = (0.4, [("app.py", 3, "busy")])


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([(False, None), (False, None)], False),
        ([(True, SEEN), (True, SEEN)], True),
        pytest.param([(True, SEEN), (False, None)], False, id="the first call imports"),
        pytest.param([(True, None), (True, SEEN), (True, None), (True, SEEN)], True, id="not always looked at"),
        pytest.param([(False, None), (True, SEEN), (False, None)], False, id="it happened once"),
        pytest.param([(True, None)] * 5, False, id="never looked at"),
    ],
)
async def test_a_stall_is_seen_twice(calls: list[tuple[bool, Any]], found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route is called until its stall was seen twice, or its loop was free; one that nobody could look at is asked again."""

    class Scripted:
        held: bool
        stall: Any

        def __init__(self, *, seconds: float) -> None:
            self.left = list(calls)

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            assert not self.left, "more calls are needed to tell"

        def reset(self) -> None:
            self.held, self.stall = self.left.pop(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("fine")(scope, receive, send)

    monkeypatch.setattr("fastness.tool.boot.inside.probe.Watch", Scripted)
    endpoint = {"name": "app.read"}
    route = {"kind": "plain", "methods": ["GET"], "hidden_by": None, "endpoint": endpoint, "parameters": [], "path": "/a"}
    requests: list[dict[str, Any]] = []
    client = Client(app, host="example.org", seconds=5)
    await probe._endpoints(client, {"routes": [route]}, requests, until=float("inf"))
    assert [one["status"] for one in requests] == [200]
    assert requests[0]["stall"] == ({"seconds": 0.4, "stack": SEEN[1]} if found else None)
