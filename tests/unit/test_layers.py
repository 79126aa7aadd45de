"""What every layer owes the connections that pass it: alone, all in one pass, and fused with FastAPI's own."""

import asyncio
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.middleware import Middleware

import fastness
from fastness import fused
from fastness._asgi import ASGIApp, Layer, Message, Receive, Scope, Send
from fastness.context import ContextMiddleware
from fastness.deadline import DeadlineMiddleware
from fastness.overload import MaintenanceMiddleware, MaintenanceSwitch, OverloadMiddleware
from fastness.problems import ProblemMiddleware
from fastness.ratelimit import MemoryStore, RateLimitMiddleware, Verdict
from fastness.security import CORS, SecurityMiddleware, SecurityPolicy
from fastness.telemetry import TelemetryMiddleware
from fastness.testing.asgi import http, request, websocket

HEADERS = {"host": "a.test", "origin": "http://a.test"}


class Elsewhere:
    """A rate-limit store that has to be waited for."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def hit(self, key: str, limit: Any) -> Verdict:
        await asyncio.sleep(0)
        return self._store.hit(key, limit)


# One place and no queue: whoever keeps the place of a connection that has ended refuses the next.
ARGUMENTS: dict[type[Layer], Callable[[], dict[str, Any]]] = {
    ContextMiddleware: lambda: {"trusted_proxies": ["127.0.0.1"]},
    TelemetryMiddleware: dict,
    SecurityMiddleware: lambda: {"policy": SecurityPolicy(hosts=("a.test",), cors=CORS(origins=("http://a.test",)))},
    OverloadMiddleware: lambda: {"limit": 1, "max_waiting": 0},
    MaintenanceMiddleware: lambda: {"switch": MaintenanceSwitch()},
    RateLimitMiddleware: lambda: {"limit": "1000/second", "store": Elsewhere(), "headers": True},
    DeadlineMiddleware: lambda: {"default": 3600.0},
    ProblemMiddleware: dict,
}


def alone(kind: type[Layer]) -> Callable[[ASGIApp], ASGIApp]:
    return lambda app: kind(app, **ARGUMENTS[kind]())


def in_one_pass(app: ASGIApp) -> ASGIApp:
    for kind, arguments in reversed(ARGUMENTS.items()):
        app = kind(app, **arguments())
    assert isinstance(app, Layer)
    assert len(app._plan.layers) == len(ARGUMENTS)
    return app


def fused_pass(app: ASGIApp) -> ASGIApp:
    service = FastAPI(middleware=[Middleware(kind, **arguments()) for kind, arguments in ARGUMENTS.items()])  # type: ignore[arg-type]
    service.mount("/", app)
    service.build_middleware_stack = fused.fused(service)  # type: ignore[method-assign]
    assert isinstance(service.build_middleware_stack(), Layer)
    return service


ALONE = [pytest.param(alone(kind), id=kind.__name__) for kind in ARGUMENTS]
STACKS = [*ALONE, pytest.param(in_one_pass, id="one pass")]
CONNECTIONS = [*STACKS, pytest.param(fused_pass, id="fused")]


def test_no_layer_is_forgotten() -> None:
    """Every layer of the package is held to what is below, but for the two that stand for FastAPI's own in the fused pass."""
    for package in pkgutil.walk_packages(fastness.__path__, "fastness."):
        if not package.name.startswith(("fastness.tool", "fastness.testing")):
            importlib.import_module(package.name)
    ours = {kind for kind in Layer.__subclasses__() if kind.__module__.startswith("fastness.")}
    assert ours - {fused._ServerErrors, fused._Handlers} == set(ARGUMENTS)


@pytest.mark.parametrize("stack", CONNECTIONS)
async def test_a_stream_passes_part_by_part_both_ways(stack: Callable[[ASGIApp], ASGIApp]) -> None:
    """Each part of the request's body is answered before the next is there: nothing is kept back, and nothing is changed."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    app = stack(echo)
    for _ in range(2):
        async with http(app, "/x", method="POST", headers=HEADERS) as connection:
            assert (await connection.next())["status"] == 200
            for part in (b"one", b"two", b"three"):
                connection.body(part, more=part != b"three")
                assert (await connection.next())["body"] == part
            response = await connection.response()
        assert (response.body, response.complete, response.headers["content-type"]) == (b"onetwothree", True, "text/plain")


@pytest.mark.parametrize("stack", CONNECTIONS)
async def test_a_websocket_passes_both_ways(stack: Callable[[ASGIApp], ASGIApp]) -> None:
    """Messages and the client's close code reach the app, and the app's messages the client."""
    codes: list[int] = []

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        codes.append(message["code"])

    app = stack(echo)
    for _ in range(2):
        async with websocket(app, "/x", headers=HEADERS) as connection:
            assert (await connection.next())["type"] == "websocket.accept"
            for text in ("one", "two"):
                connection.give({"type": "websocket.receive", "text": text})
                assert (await connection.next())["text"] == text
            connection.disconnect(code=1001)
            await connection.response()
    assert codes == [1001, 1001]


@pytest.mark.parametrize("stack", CONNECTIONS)
async def test_an_error_of_a_websocket_is_raised_as_it_is(stack: Callable[[ASGIApp], ASGIApp]) -> None:
    """The server hears of an exception after the handshake, and the next connection is none the worse for it."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise LookupError("late")

    app = stack(broken)
    for _ in range(2):
        async with websocket(app, "/x", headers=HEADERS) as connection:
            assert (await connection.next())["type"] == "websocket.accept"
            with pytest.raises(LookupError, match="late"):
                await connection.next()


@pytest.mark.parametrize("stack", CONNECTIONS)
async def test_the_app_is_told_that_the_client_is_gone(stack: Callable[[ASGIApp], ASGIApp]) -> None:
    """A client that leaves half-way is seen by `receive`, and the place that it had is free again."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (message := await receive())["type"] != "http.disconnect":
            pass
        seen.append(message["type"])

    around = stack(app)
    for _ in range(2):
        async with http(around, "/x", method="POST", headers=HEADERS) as connection:
            connection.body(b"part", more=True)
            assert (await connection.next())["status"] == 200
            assert (await connection.next())["body"] == b"half"
            connection.disconnect()
            response = await connection.response()
        assert (response.body, response.complete, response.error) == (b"half", False, None)
    assert seen == ["http.disconnect"] * 2


@pytest.mark.parametrize("stack", CONNECTIONS)
async def test_an_error_after_the_start_reaches_the_server(stack: Callable[[ASGIApp], ASGIApp]) -> None:
    """A response that has started is neither finished nor followed by another: the server has to drop the connection."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("late")

    around = stack(app)
    for _ in range(2):
        response = await request(around, "/x", headers=HEADERS, raise_errors=False)
        assert (response.status, response.body, response.complete) == (200, b"half", False)
        assert isinstance(response.error, LookupError)


@pytest.mark.parametrize("kind", ["lifespan", "new.in.asgi.9"])
@pytest.mark.parametrize("stack", STACKS)
async def test_what_is_no_request_passes_untouched(stack: Callable[[ASGIApp], ASGIApp], kind: str) -> None:
    """The lifespan, and kinds of scope that nobody knows yet, reach the app with the server's own scope, `receive`, `send`."""
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope: Scope = {"type": kind}
    await stack(app)(scope, receive, send)
    assert seen[0] is scope
    assert seen[1:] == [receive, send]
    assert scope == {"type": kind}
