"""Layers and the pass that runs them."""

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse

from fastness._asgi import ASGIApp, Exchange, HeaderLines, Layer, Message, Receive, Scope, Send
from fastness.testing.asgi import http, request, websocket


class Recorder(Layer):
    """Writes down which of its hooks ran."""

    def __init__(self, app: ASGIApp, *, name: str, log: list[str]) -> None:
        super().__init__(app)
        self.name = name
        self.log = log

    def enter(self, exchange: Exchange) -> Any:
        self.log.append(f"enter {self.name}")

    def start(self, exchange: Exchange, headers: HeaderLines) -> None:
        self.log.append(f"start {self.name}")
        headers.append((b"x-seen", self.name.encode()))

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        self.log.append(f"recover {self.name}")
        return None

    def leave(self, exchange: Exchange) -> None:
        self.log.append(f"leave {self.name}")


class Refuser(Recorder):
    """Answers by itself."""

    def enter(self, exchange: Exchange) -> Any:
        super().enter(exchange)
        return PlainTextResponse("refused", status_code=429)


class LateRefuser(Recorder):
    """Answers by itself after waiting."""

    def enter(self, exchange: Exchange) -> Any:
        async def wait() -> ASGIApp:
            await asyncio.sleep(0)
            return PlainTextResponse("refused", status_code=503)

        return wait()


class Rescuer(Recorder):
    """Answers errors."""

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        super().recover(exchange, error)
        return PlainTextResponse("rescued", status_code=500)


class Plain:
    """A middleware that is not a layer."""

    def __init__(self, app: ASGIApp, log: list[str]) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.log.append("enter plain")
        await self.app(scope, receive, send)
        self.log.append("leave plain")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("broken")


async def broken_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise LookupError("broken")


async def test_hooks_run_in_the_order_of_the_list() -> None:
    """Requests go from the outermost layer inwards, responses from the innermost outwards."""
    log: list[str] = []
    app = Recorder(Recorder(hello, name="b", log=log), name="a", log=log)
    response = await request(app)
    assert log == ["enter a", "enter b", "start b", "start a", "leave b", "leave a"]
    assert response.headers.getlist("x-seen") == ["b", "a"]
    assert (response.status, response.text) == (200, "hello")


async def test_neighbours_share_one_pass() -> None:
    """However many layers stand side by side, the app is called with one wrapped `send`."""
    log: list[str] = []
    seen: list[Send] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(send)
        await hello(scope, receive, send)

    await request(Recorder(Recorder(Recorder(app, name="c", log=log), name="b", log=log), name="a", log=log))
    exchange = seen[0].__self__  # type: ignore[attr-defined]
    assert isinstance(exchange, Exchange)
    assert not isinstance(exchange._send.__self__, Exchange)  # type: ignore[attr-defined]


async def test_other_middleware_keeps_its_place() -> None:
    """A middleware that is not a layer runs between the layers that the list has around it."""
    log: list[str] = []
    await request(Recorder(Plain(Recorder(hello, name="b", log=log), log), name="a", log=log))
    assert log == ["enter a", "enter plain", "enter b", "start b", "start a", "leave b", "leave plain", "leave a"]


async def test_a_refusal_passes_only_through_the_layers_around_it() -> None:
    """A layer inside the one that refuses is neither entered, nor asked for headers, nor left."""
    log: list[str] = []
    inner = Recorder(hello, name="c", log=log)
    response = await request(Recorder(Refuser(inner, name="b", log=log), name="a", log=log))
    assert (response.status, response.text) == (429, "refused")
    assert log == ["enter a", "enter b", "start b", "start a", "leave a"]


async def test_a_refusal_may_take_its_time() -> None:
    """`enter` may return an awaitable of the answer."""
    log: list[str] = []
    response = await request(LateRefuser(hello, name="a", log=log))
    assert response.status == 503


async def test_an_awaited_yes_goes_on_to_the_app() -> None:
    """An awaitable of None lets the request through."""

    class Slow(Layer):
        def enter(self, exchange: Exchange) -> Any:
            return asyncio.sleep(0)

    assert (await request(Slow(hello))).text == "hello"


async def test_a_client_that_leaves_while_a_layer_waits_leaves_the_layers_around_it() -> None:
    """When waiting for admission is cancelled, the layers that were entered are left, the waiting one is not."""
    log: list[str] = []
    running: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Waiter(Recorder):
        def enter(self, exchange: Exchange) -> Any:
            running.set_result(asyncio.current_task())
            return asyncio.get_running_loop().create_future()

    app = Recorder(Waiter(hello, name="b", log=log), name="a", log=log)
    task = asyncio.create_task(request(app))
    (await running).cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "leave a" in log
    assert "leave b" not in log


async def test_the_innermost_layer_recovers_first() -> None:
    """The first answer to an error is sent, through all layers; those further out are not asked."""
    log: list[str] = []
    response = await request(Rescuer(Rescuer(broken, name="b", log=log), name="a", log=log))
    assert (response.status, response.text) == (500, "rescued")
    assert log == ["enter a", "enter b", "recover b", "start b", "start a", "leave b", "leave a"]


async def test_an_error_that_nobody_answers_is_raised_and_every_layer_left() -> None:
    """Without an answer, the error goes on to whatever is outside."""
    log: list[str] = []
    with pytest.raises(LookupError):
        await request(Recorder(broken, name="a", log=log))
    assert log == ["enter a", "recover a", "leave a"]


async def test_an_error_after_the_response_started_is_raised_again() -> None:
    """A response that has started cannot be taken back: the server must see the error and drop the connection."""
    log: list[str] = []
    response = await request(Rescuer(broken_late, name="a", log=log), raise_errors=False)
    assert isinstance(response.error, LookupError)
    assert (response.status, response.body, response.complete) == (200, b"half", False)
    assert log[-1] == "leave a"


async def test_a_response_object_that_is_sent_twice_gets_its_headers_once() -> None:
    """The header list of a Response that the app keeps does not grow."""
    log: list[str] = []
    kept = PlainTextResponse("again")
    app = Recorder(kept, name="a", log=log)
    await request(app)
    response = await request(app)
    assert response.headers.getlist("x-seen") == ["a"]


async def test_a_stream_passes_part_by_part() -> None:
    """Nothing is buffered: each part of a streaming response is passed on before the next is made."""
    log: list[str] = []
    go = asyncio.Event()

    async def parts() -> Any:
        yield b"one"
        await go.wait()
        yield b"two"

    async with http(Recorder(StreamingResponse(parts()), name="a", log=log)) as connection:
        connection.body()
        assert (await connection.next())["type"] == "http.response.start"
        assert (await connection.next())["body"] == b"one"
        assert "leave a" not in log
        go.set()
        assert (await connection.next())["body"] == b"two"
        await connection.response()
    assert log[-1] == "leave a"


async def test_body_parts_are_shown_and_a_disconnect_noticed() -> None:
    """The `received` hook sees each part of the request body; a disconnect is noted on the exchange."""
    parts: list[bytes] = []
    both = asyncio.Event()
    ended: list[Exchange] = []

    class Watcher(Layer):
        def received(self, exchange: Exchange, message: Message) -> None:
            parts.append(message["body"])
            if len(parts) == 2:
                both.set()

        def leave(self, exchange: Exchange) -> None:
            ended.append(exchange)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with http(Watcher(app), method="POST") as connection:
        connection.body(b"a", more=True)
        connection.body(b"b", more=True)
        await both.wait()
        connection.disconnect()
        await connection.response()
    assert parts == [b"a", b"b"]
    assert ended[0].disconnected
    assert not ended[0].done


async def test_websockets_pass_through() -> None:
    """A WebSocket connection reaches the app through every layer, with the server's own `send`."""
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"].upper()})
        await send({"type": "websocket.close"})

    async with websocket(Recorder(Recorder(app, name="b", log=log), name="a", log=log)) as connection:
        assert (await connection.next())["type"] == "websocket.accept"
        connection.give({"type": "websocket.receive", "text": "hi"})
        assert (await connection.next())["text"] == "HI"
    assert log == []


async def test_lifespan_passes_through() -> None:
    """Layers have no part in the lifespan."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await Recorder(app, name="a", log=[])({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_a_repeated_header_counts_by_its_first_line() -> None:
    """Frameworks read the first line of a repeated header, so what a layer decides on is that line too."""
    layer = Recorder(hello, name="a", log=[])
    scope = {"type": "http", "headers": [(b"host", b"first"), (b"host", b"second")]}
    exchange = Exchange(layer._plan, scope, None, None)  # type: ignore[arg-type]
    assert exchange.headers[b"host"] == b"first"
