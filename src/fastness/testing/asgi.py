"""Drives an ASGI application with raw messages, as a server would, and keeps what the application sent.

It is for what an HTTP client cannot show: a body part by part, a client that goes away, WebSocket pass-through, an error after
the response has started. Each connection runs in a task of its own, every wait is bounded, and an application that breaks the
protocol (https://asgi.readthedocs.io/en/latest/specs/www.html) fails the test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from starlette.datastructures import Headers

from fastness._asgi import ASGIApp, Message, Scope

HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]


class ProtocolError(Exception):
    """The application sent something that the ASGI specification does not allow at that moment."""


@dataclass(frozen=True, slots=True)
class Response:
    """What an application answered to one request.

    Attributes:
        status: status code, 0 when no response was started.
        headers: response headers, case-insensitive; `getlist` gives the lines of a repeated one.
        body: all of the body that was sent.
        complete: the last part of the body was sent.
        messages: the raw messages, in order.
        error: the exception that left the application, or None.
    """

    status: int
    headers: Headers
    body: bytes
    complete: bool
    messages: tuple[Message, ...]
    error: BaseException | None

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Connection:
    """One connection to an application, to drive by hand: `async with http(app) as connection`.

    Leaving the block disconnects the client, waits for the application to end, and raises its exception unless `next` or
    `response` has shown it before. When the block is cancelled, the application is cancelled too.

    Attributes:
        scope: what the application is called with.
        sent: every message that the application has sent so far.
    """

    def __init__(self, app: ASGIApp, scope: Scope, *, time_limit: float = 30.0) -> None:
        self.scope = scope
        self.sent: list[Message] = []
        self._app = app
        self._time_limit = time_limit
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message | None] = asyncio.Queue()  # None: the application has ended
        self._gone = False
        self._violation: ProtocolError | None = None
        self._shown = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async def run() -> None:
            await self._app(self.scope, self._receive, self._send)

        self._task = asyncio.create_task(run())
        self._task.add_done_callback(lambda _: self._outbox.put_nowait(None))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.disconnect()
        if kind is not None and issubclass(kind, asyncio.CancelledError) and self._task is not None:
            self._task.cancel()  # whoever gives up the block does not wait for the application's pleasure
        try:
            response = await self._end()
        except (ProtocolError, TimeoutError):
            if kind is None:
                raise
        else:
            if kind is None and not self._shown and response.error is not None:
                raise response.error

    def give(self, *messages: Message) -> None:
        """Put messages where the application receives them."""
        for message in messages:
            self._inbox.put_nowait(message)

    def body(self, data: bytes = b"", *, more: bool = False) -> None:
        """Give a part of the request's body."""
        self.give({"type": "http.request", "body": data, "more_body": more})

    def disconnect(self, code: int = 1006) -> None:
        """The client goes away: the application is told, and what it sends from now on is dropped."""
        if self._gone or self.scope["type"] == "lifespan":
            return
        self._gone = True
        if self.scope["type"] == "websocket":
            self.give({"type": "websocket.disconnect", "code": code, "reason": ""})
        else:
            # As servers do it: a body that nobody has read yet is lost.
            while not self._inbox.empty():
                self._inbox.get_nowait()
            self.give({"type": "http.disconnect"})

    async def next(self) -> Message:
        """The next message of the application, waiting for it.

        Raises:
            EOFError: the application ended without sending another one. An exception of its own is raised as it is.
            TimeoutError: nothing came in time.
        """
        async with asyncio.timeout(self._time_limit):
            message = await self._outbox.get()
        if message is not None:
            return message
        self._outbox.put_nowait(None)
        self._shown = True
        if self._task is not None:
            self._task.result()
        raise EOFError(f"the application ended after {len(self.sent)} messages")

    async def response(self) -> Response:
        """Wait until the application has ended, and give all that it answered. Its exception is in `error`.

        Raises:
            ProtocolError: the application broke the protocol, even if it caught the error that told it so.
            TimeoutError: the application did not end in time; it is cancelled.
        """
        self._shown = True
        return await self._end()

    async def _end(self) -> Response:
        task = self._task
        if task is None:
            raise RuntimeError("enter the connection first: async with http(app) as connection")
        await asyncio.wait({task}, timeout=self._time_limit)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=self._time_limit)
            raise TimeoutError(f"the application had not ended after {self._time_limit} s; it sent {self.sent!r}")
        # Asked for whatever comes of it: the event loop reports an error that nobody has asked for, to whoever runs by then.
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self._violation is not None:
            raise self._violation
        start = next((message for message in self.sent if message["type"] == "http.response.start"), None)
        return Response(
            status=start["status"] if start else 0,
            headers=Headers(raw=list(start.get("headers", ())) if start else []),
            body=b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body"),
            complete=bool(self.sent) and _is_last(self.sent[-1]),
            messages=tuple(self.sent),
            error=error,
        )

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        if message["type"].endswith(".disconnect"):
            self._inbox.put_nowait(message)  # once gone, gone
        return message

    async def _send(self, message: Message) -> None:
        # Not every server waits here, but an application that relies on `send` never giving way is broken on those that do.
        await asyncio.sleep(0)
        complete = bool(self.sent) and _is_last(self.sent[-1])
        if self._gone and not complete:
            return
        fault = _fault(self.scope, self.sent, message)
        if fault is not None:
            self._violation = ProtocolError(fault)
            raise self._violation
        # A copy: the message is the application's, which may change it after sending.
        message = dict(message)
        self.sent.append(message)
        self._outbox.put_nowait(message)
        if self.scope["type"] == "http" and _is_last(message):
            self.disconnect()


def scope(
    path: str = "/",
    *,
    method: str = "GET",
    query: str = "",
    headers: HeaderInput = (),
    client: tuple[str, int] | None = ("127.0.0.1", 50000),
    scheme: str = "http",
    state: Mapping[str, Any] | None = None,
    **more: Any,
) -> Scope:
    """An HTTP scope as a server makes it. `state` is the lifespan's; `more` adds or replaces keys."""
    lines = headers.items() if isinstance(headers, Mapping) else headers
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines],
        "client": client,
        "server": ("127.0.0.1", 8000),
        "state": dict(state or {}),
        **more,
    }


def http(app: ASGIApp, path: str = "/", *, time_limit: float = 30.0, **options: Any) -> Connection:
    """An HTTP connection to drive by hand. `options` are those of `scope`; `time_limit` in seconds bounds each wait."""
    return Connection(app, scope(path, **options), time_limit=time_limit)


def websocket(app: ASGIApp, path: str = "/", *, time_limit: float = 30.0, **options: Any) -> Connection:
    """A WebSocket connection to drive by hand, with `websocket.connect` given. `options` are those of `scope`."""
    made = scope(path, **{"scheme": "ws", "subprotocols": [], **options}, type="websocket")
    del made["method"]
    connection = Connection(app, made, time_limit=time_limit)
    connection.give({"type": "websocket.connect"})
    return connection


async def request(
    app: ASGIApp,
    path: str = "/",
    *,
    body: bytes | Iterable[bytes] = b"",
    raise_errors: bool = True,
    time_limit: float = 30.0,
    **options: Any,
) -> Response:
    """Send one request and give the whole answer.

    Args:
        body: the request's body, or its parts.
        raise_errors: raise what the application raises; False leaves it in `Response.error`.
        time_limit: seconds until an application that does not end fails the test.
        options: those of `scope`: method, query, headers, client, scheme, state.
    """
    async with http(app, path, time_limit=time_limit, **options) as connection:
        parts = [body] if isinstance(body, bytes) else list(body)
        for part in parts[:-1]:
            connection.body(part, more=True)
        connection.body(parts[-1] if parts else b"")
        response = await connection.response()
    if raise_errors and response.error is not None:
        raise response.error
    return response


@asynccontextmanager
async def lifespan(app: ASGIApp, *, time_limit: float = 30.0) -> AsyncIterator[dict[str, Any]]:
    """Start the application, give its lifespan state, and shut it down, also when the block raises.

    Raises:
        RuntimeError: the application reported that starting or shutting down failed; the cause is its exception.
    """
    state: dict[str, Any] = {}
    asgi = {"version": "3.0", "spec_version": "2.0"}
    async with Connection(app, {"type": "lifespan", "asgi": asgi, "state": state}, time_limit=time_limit) as connection:
        connection.give({"type": "lifespan.startup"})
        await _expect(connection, "lifespan.startup.complete")
        try:
            yield state
        finally:
            connection.give({"type": "lifespan.shutdown"})
            await _expect(connection, "lifespan.shutdown.complete")


async def _expect(connection: Connection, kind: str) -> None:
    message = await connection.next()
    if message["type"] != kind:
        cause = (await connection.response()).error
        # The message is a formatted traceback, which the cause says better.
        raise RuntimeError(f"{message['type']}: {cause or message.get('message', '')}") from cause


def _fault(scope: Scope, sent: list[Message], message: Message) -> str | None:
    """What the specification forbids about sending `message` after `sent`, or None."""
    if scope["type"] == "http":
        fault = _http_fault(scope, sent, message)
    elif scope["type"] == "websocket":
        fault = _websocket_fault(scope, sent, message)
    else:
        fault = None
    return fault and f"{message.get('type')!r} {fault}"


def _http_fault(scope: Scope, sent: list[Message], message: Message) -> str | None:
    kind = message.get("type")
    started = any(earlier["type"] == "http.response.start" for earlier in sent)
    if sent and _is_last(sent[-1]):
        return "after the response was complete"
    if kind == "http.response.start":
        return "twice" if started else _head_fault(message)
    if kind == "http.response.body":
        if not started:
            return "before the response was started"
        return None if isinstance(message.get("body", b""), bytes) else "with a body that is not bytes"
    return None if kind in scope.get("extensions", {}) else "is not a message of an HTTP connection"


def _websocket_fault(scope: Scope, sent: list[Message], message: Message) -> str | None:
    kind = message.get("type")
    kinds = {earlier["type"] for earlier in sent}
    if "websocket.close" in kinds:
        return "after the connection was closed"
    if kind == "websocket.accept":
        return "twice" if kind in kinds else None
    if kind == "websocket.send":
        return None if "websocket.accept" in kinds else "before the connection was accepted"
    if kind in ("websocket.http.response.start", "websocket.http.response.body"):
        return None if "websocket.http.response" in scope.get("extensions", {}) else "without the server's extension"
    return None if kind == "websocket.close" else "is not a message of a WebSocket connection"


def _head_fault(message: Message) -> str | None:
    if not isinstance(message.get("status"), int):
        return "without a status"
    for name, value in message.get("headers", ()):
        if not (isinstance(name, bytes) and isinstance(value, bytes)):
            return f"with a header that is not bytes: {name!r}: {value!r}"
        if name != name.lower() or {b"\r", b"\n", b"\0"} & {bytes([byte]) for byte in name + value}:
            return f"with a header that is not allowed: {name!r}: {value!r}"
    return None


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)
