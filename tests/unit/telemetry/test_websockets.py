"""Every WebSocket connection is counted and is one event when it ends, however it ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.websockets import WebSocketDisconnect

from fastness._asgi import Receive, Scope, Send
from fastness.context import ContextMiddleware
from fastness.telemetry import TelemetryMiddleware
from fastness.telemetry.routes import UNMATCHED, Routes
from fastness.testing import asgi

Configure = Callable[..., Any]
ACTIVE = "fastness_websocket_active_connections"
DURATION = "fastness_websocket_duration_seconds_count"
MESSAGES = "fastness_websocket_messages_total"


def stack(app: Any) -> Any:
    return ContextMiddleware(TelemetryMiddleware(app))


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def ended(code: str) -> float:
    return value(DURATION, http_route=UNMATCHED, close_code=code)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def test_messages_pass_through_and_are_counted(configure: Configure) -> None:
    """Messages go both ways unchanged; how many is on the one line of the connection and in the metrics."""
    log = configure(service="relay")
    before = {way: value(MESSAGES, http_route=UNMATCHED, direction=way) for way in ("received", "sent")}
    async with asgi.websocket(stack(echo), "/chat", headers={"x-request-id": "r-1"}) as connection:
        for text in ("one", "two"):
            connection.give({"type": "websocket.receive", "text": text})
        assert [(await connection.next()).get("text") for _ in range(3)] == [None, "one", "two"]
        assert value(ACTIVE) == 1
        connection.disconnect(1001)
        await connection.response()
    assert value(ACTIVE) == 0
    entry = log.last
    assert len(log.lines) == 1
    assert 0 <= entry["duration_ms"] < 30_000
    assert {name: entry[name] for name in entry if name not in ("time", "duration_ms", "trace_id", "client")} == {
        "level": "info",
        "logger": "fastness.access",
        "event": "websocket",
        "service": "relay",
        "path": "/chat",
        "route": UNMATCHED,
        "close_code": 1001,
        "closed_by": "client",
        "received": 2,
        "sent": 2,
        "request_id": "r-1",
    }
    for way, count in before.items():
        assert value(MESSAGES, http_route=UNMATCHED, direction=way) == count + 2


async def test_the_side_that_closes_first_gives_the_code(configure: Configure) -> None:
    """The client's echo of the app's close changes nothing."""
    log, before = configure(), ended("4xxx")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001})
        await receive()

    async with asgi.websocket(stack(app)) as connection:
        await connection.next()
        connection.disconnect(1000)
        await connection.response()
    assert (log.last["closed_by"], log.last["close_code"]) == ("app", 4001)
    assert ended("4xxx") == before + 1


@pytest.mark.parametrize("code", [999, 1016, 2999, 5000, 70_000])
async def test_made_up_codes_make_no_series(configure: Configure, code: int) -> None:
    """A client that counts up close codes fills nothing."""
    configure()
    before = ended("_OTHER")
    async with asgi.websocket(stack(echo)) as connection:
        await connection.next()
        connection.disconnect(code)
        await connection.response()
    assert ended("_OTHER") == before + 1


async def test_a_connection_that_is_refused_was_never_open(configure: Configure) -> None:
    """Closed before it was accepted, it is one event without having been active."""
    log, before = configure(), ended("refused")

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    async with asgi.websocket(stack(refuse)) as connection:
        await connection.response()
    assert value(ACTIVE) == 0
    assert ended("refused") == before + 1
    assert (log.last["close_code"], log.last["closed_by"], log.last["level"]) == ("refused", "app", "info")


async def test_an_app_that_fails_is_a_warning(configure: Configure) -> None:
    """The exception goes on to the server, which closes with 1011; the event names its type and no more."""
    log, before = configure(), ended("1011")

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise RuntimeError("secret")

    with pytest.raises(RuntimeError):
        async with asgi.websocket(stack(fail)) as connection:
            await connection.next()
    assert (log.last["level"], log.last["error"], log.last["close_code"]) == ("warning", "RuntimeError", 1011)
    assert "secret" not in log.stream.getvalue()
    assert ended("1011") == before + 1
    assert value(ACTIVE) == 0


async def test_a_client_that_leaves_is_no_fault_of_the_app(configure: Configure) -> None:
    """Starlette tells an endpoint by an exception, which many let pass."""
    log = configure()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise WebSocketDisconnect(1001)

    with pytest.raises(WebSocketDisconnect):
        async with asgi.websocket(stack(app)) as connection:
            await connection.next()
    assert (log.last["level"], log.last["closed_by"], log.last["close_code"]) == ("info", "client", 1001)


async def test_a_connection_that_just_ends_counts_as_abnormal(configure: Configure) -> None:
    """As RFC 6455 has it for one that ends without a close."""
    log, before = configure(), ended("1006")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    async def client() -> None:
        async with asgi.websocket(stack(app)) as connection:
            await connection.next()
            accepted.set()
            await asyncio.Event().wait()

    accepted = asyncio.Event()
    task = asyncio.create_task(client())
    await accepted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "closed_by" not in log.last
    assert ended("1006") == before + 1


async def test_the_console_has_one_readable_line(configure: Configure) -> None:
    """Path, code and time are the event itself."""
    log = configure(format="console")
    async with asgi.websocket(stack(echo), "/chat") as connection:
        await connection.next()
        connection.disconnect(1000)
        await connection.response()
    assert "WEBSOCKET /chat 1000 0.0 s" in log.stream.getvalue()


async def test_a_failure_to_record_breaks_no_connection(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the route cannot be told the connection goes on, and the log says what went wrong."""
    log = configure()

    def fail(*_: Any) -> str:
        raise RuntimeError("no label")

    monkeypatch.setattr(Routes, "label", fail)
    async with asgi.websocket(stack(echo)) as connection:
        connection.give({"type": "websocket.receive", "text": "hello"})
        assert [(await connection.next()).get("text") for _ in range(2)] == [None, "hello"]
        connection.disconnect(1000)
        await connection.response()
    assert [entry["event"] for entry in log.entries] == [
        "the route of a WebSocket connection could not be told",
        "websocket",
    ]
