"""The harness shows what an application does on the wire, and fails where a server would."""

import asyncio
import gc
from contextlib import suppress
from contextvars import ContextVar

import pytest

from fastness._asgi import Receive, Scope, Send
from fastness.testing import asgi

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]}
END = {"type": "http.response.body", "body": b"end"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with each part of the request's body as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("client gone")
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


def sending(*messages):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def test_request_gives_the_whole_answer():
    """A request with a body in parts gets status, header lines, body and the raw messages."""
    response = await asgi.request(echo, "/x", method="POST", body=[b"a", b"b", b"c"])
    assert (response.status, response.text, response.complete, response.error) == (200, "abc", True, None)
    assert [message["type"] for message in response.messages] == ["http.response.start"] + 3 * ["http.response.body"]
    repeated = await asgi.request(sending(START, END))
    assert repeated.headers.getlist("X-A") == ["1", "2"]


async def test_the_scope_is_a_servers():
    """The scope carries method, path, query, lower-case header names, client and a copy of the lifespan state."""
    state = {"db": object()}
    built = asgi.scope("/a", method="PUT", query="q=1", headers={"X-Id": "7"}, client=None, state=state, http_version="2")
    assert built["headers"] == [(b"x-id", b"7")]
    assert (built["method"], built["raw_path"], built["query_string"], built["client"]) == ("PUT", b"/a", b"q=1", None)
    assert built["state"] == state
    assert built["state"] is not state
    assert built["http_version"] == "2"


async def test_parts_are_seen_as_they_are_sent():
    """The answer to one part of the body is there before the next part is given."""
    async with asgi.http(echo) as connection:
        assert (await connection.next())["status"] == 200
        connection.body(b"one", more=True)
        assert (await connection.next())["body"] == b"one"
        connection.body(b"two")
        assert await connection.next() == {"type": "http.response.body", "body": b"two", "more_body": False}
        with pytest.raises(EOFError, match="after 3 messages"):
            await connection.next()


async def test_a_disconnect_reaches_the_application():
    """A client that goes away is seen by `receive`, again and again, and what is sent afterwards is dropped."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        seen.extend([await receive(), await receive()])
        await send(END)

    async with asgi.http(app) as connection:
        await connection.next()
        connection.body(b"lost")
        connection.disconnect()
        response = await connection.response()
    assert seen == [{"type": "http.disconnect"}] * 2
    assert not response.complete


async def test_after_the_answer_the_client_is_gone():
    """`receive` after the complete answer tells of a disconnect, as servers do."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(END)
        seen.append(await receive())

    await asgi.request(app)
    assert seen == [{"type": "http.disconnect"}]


async def test_an_error_after_the_start_is_kept_with_what_was_sent():
    """An exception leaves the messages that came before it readable, or is raised."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        raise LookupError("late")

    response = await asgi.request(app, raise_errors=False)
    assert (response.status, response.complete) == (200, False)
    assert isinstance(response.error, LookupError)
    with pytest.raises(LookupError, match="late"):
        await asgi.request(app)


async def test_an_error_that_nobody_looked_at_is_raised_on_leaving():
    """A connection whose application failed unseen does not pass in silence."""
    with pytest.raises(ConnectionError, match="gone"):
        async with asgi.http(echo) as connection:
            await connection.next()


async def test_a_failing_test_is_not_hidden_by_the_application():
    """The test's own exception wins over the application's."""
    with pytest.raises(KeyError):
        async with asgi.http(echo):
            raise KeyError


async def test_an_application_that_hangs_fails_the_test():
    """An application that ignores the disconnect is cancelled and reported."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="had not ended"):
        await asgi.request(app, time_limit=0.01)
    with pytest.raises(TimeoutError):
        async with asgi.http(app, time_limit=0.01) as connection:
            await connection.next()


async def test_a_block_that_is_cancelled_cancels_the_application():
    """A test that gives up a request does not wait for an application that would never end."""
    entered, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(asgi.request(app, time_limit=3600))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_context_variables_stay_in_the_connection():
    """Each connection runs in a context of its own."""
    variable = ContextVar("variable", default=0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        variable.set(1)
        await send(START)
        await send(END)

    await asgi.request(app)
    assert variable.get() == 0


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([END], "before the response was started"),
        ([START, START], "twice"),
        ([START, END, END], "after the response was complete"),
        ([{"type": "http.response.start"}], "without a status"),
        ([{**START, "headers": [("x", "1")]}], "not bytes"),
        ([{**START, "headers": [(b"X-Upper", b"1")]}], "not allowed"),
        ([{**START, "headers": [(b"x", b"a\r\nset-cookie: b")]}], "not allowed"),
        ([START, {"type": "http.response.body", "body": "text"}], "not bytes"),
        ([{"type": "websocket.send"}], "not a message of an HTTP connection"),
    ],
)
async def test_a_broken_protocol_fails_the_test(messages, fault):
    """What the specification forbids is raised in the application and, if it is caught there, in the test."""

    async def swallowing(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asgi.ProtocolError):
            await sending(*messages)(scope, receive, send)

    with pytest.raises(asgi.ProtocolError, match=fault):
        await asgi.request(swallowing)


async def test_sent_messages_are_copies():
    """An application that changes a message after sending does not change what was recorded."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = dict(START)
        await send(message)
        message["status"] = 500
        await send(END)

    assert (await asgi.request(app)).status == 200


async def test_websocket_round_trip():
    """A WebSocket connection is accepted, echoes, and sees the client's close code."""
    codes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        assert "method" not in scope
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        codes.append((await receive())["code"])

    async with asgi.websocket(app, "/ws") as connection:
        assert (await connection.next())["type"] == "websocket.accept"
        connection.give({"type": "websocket.receive", "text": "hello"})
        assert (await connection.next())["text"] == "hello"
        connection.disconnect(code=1001)
        with pytest.raises(EOFError):
            await connection.next()
    assert codes == [1001]


@pytest.mark.parametrize(
    ("kinds", "fault"),
    [
        (["websocket.send"], "before the connection was accepted"),
        (["websocket.accept", "websocket.accept"], "twice"),
        (["websocket.close", "websocket.accept"], "after the connection was closed"),
        (["websocket.http.response.start"], "without the server's extension"),
        (["http.response.start"], "not a message of a WebSocket"),
    ],
)
async def test_a_broken_websocket_protocol_fails_the_test(kinds, fault):
    """The order of WebSocket messages is checked too."""
    with pytest.raises(asgi.ProtocolError, match=fault):
        async with asgi.websocket(sending(*({"type": kind} for kind in kinds))) as connection:
            await connection.response()


async def test_a_broken_protocol_is_told_once():
    """The event loop has nothing left to report, which it would do at whatever time the application's task is collected."""
    with pytest.raises(asgi.ProtocolError):
        async with asgi.websocket(sending({"type": "websocket.send"})) as connection:
            await connection.response()
    del connection
    gc.collect()


def lifespan_app(*, start_error=None, stop_error=None, log=None):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        if start_error:
            await send({"type": "lifespan.startup.failed", "message": "Traceback ..."})
            raise start_error
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        log.append("closed")
        if stop_error:
            await send({"type": "lifespan.shutdown.failed", "message": "Traceback ..."})
            raise stop_error
        await send({"type": "lifespan.shutdown.complete"})

    return app


async def test_lifespan_gives_the_state_and_shuts_down():
    """The lifespan state is given, and the application is shut down also when the block raises."""
    log: list[str] = []
    async with asgi.lifespan(lifespan_app(log=log)) as state:
        assert state == {"pool": "open"}
        assert log == []
    assert log == ["closed"]
    with pytest.raises(ZeroDivisionError):
        async with asgi.lifespan(lifespan_app(log=log)):
            _ = 1 / 0
    assert log == ["closed", "closed"]


async def test_a_failed_lifespan_says_why():
    """Failing to start or to stop is raised with the application's exception as cause."""
    with pytest.raises(RuntimeError, match=r"startup\.failed: no database") as caught:
        async with asgi.lifespan(lifespan_app(start_error=OSError("no database"))):
            pass
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(RuntimeError, match=r"shutdown\.failed: stuck"):
        async with asgi.lifespan(lifespan_app(stop_error=OSError("stuck"), log=[])):
            pass


async def test_a_connection_must_be_entered():
    """Reading from a connection that was never entered says what to do."""
    with pytest.raises(RuntimeError, match="enter the connection first"):
        await asgi.http(echo).response()
