"""WebSocket connections: how many there are, how long they last, what goes through, and one access event when each ends.

A connection is no request: it is not counted among them, and no latency objective applies to it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cache
from time import monotonic
from typing import Any

from starlette.websockets import WebSocketDisconnect

from fastness import _metrics
from fastness._asgi import ASGIApp, Message, Receive, Scope, Send, client_address
from fastness.telemetry import logs
from fastness.telemetry.routes import UNMATCHED
from fastness.telemetry.server import OTHER

logger = logging.getLogger("fastness.telemetry")
_access = logging.getLogger("fastness.access")

# RFC 6455, section 7.4.1. Nobody sends 1005 and 1006: they stand for a close without a code, and for none at all.
_NO_CODE, _ABNORMAL, _INTERNAL_ERROR = 1005, 1006, 1011
_REFUSED = "refused"
_DURATIONS = (0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
_MAX_PATH = 1024


class WebSocketMetrics:
    """What all connections of the process are counted in."""

    def __init__(self) -> None:
        self.active = _metrics.gauge("fastness_websocket_active_connections", "WebSocket connections that were accepted.")
        self.durations = _metrics.histogram(
            "fastness_websocket_duration_seconds",
            "Time from the opening handshake to the end of the connection; `refused` ones were never accepted.",
            ("http_route", "close_code"),
            buckets=_DURATIONS,
        )
        self.messages = _metrics.counter(
            "fastness_websocket_messages", "Messages of WebSocket connections.", ("http_route", "direction")
        )


@cache
def websocket_metrics() -> WebSocketMetrics:
    """The process's one set."""
    return WebSocketMetrics()


async def observe(app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, label: Callable[[Scope], str]) -> None:
    """Run one connection; `label` gives the template of its route, once it has been routed."""
    connection = _Connection(scope, receive, send, label)
    try:
        await app(scope, connection.receive, connection.send)
    except BaseException as error:
        connection.failed(error)
        raise
    finally:
        try:
            connection.end()
        except Exception:
            logger.exception("a WebSocket connection could not be recorded")


class _Connection:
    """One connection, as it passes by.

    Attributes:
        code: with which it was closed, by whichever side was first.
        closed_by: that side, `client` or `app`.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, label: Callable[[Scope], str]) -> None:
        self.code: int | None = None
        self.closed_by: str | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._label = label
        self._metrics = websocket_metrics()
        self._started = monotonic()
        self._accepted = False
        self._error: str | None = None
        self._in = self._out = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._in += 1
            self._received.inc()
        elif message["type"] == "websocket.disconnect":
            self._close("client", message.get("code", _NO_CODE))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.send":
            self._out += 1
            self._sent.inc()
        elif kind == "websocket.accept":
            self._accept()
        elif kind == "websocket.close":
            self._close("app", message.get("code", 1000))
        return self._send(message)

    def failed(self, error: BaseException) -> None:
        """The app raised. That its client has gone is no fault of its own."""
        if isinstance(error, WebSocketDisconnect):
            self._close("client", error.code)
        elif isinstance(error, Exception):
            self._error = type(error).__qualname__
            self._close("app", _INTERNAL_ERROR)

    def end(self) -> None:
        """Count the connection and log it."""
        seconds = monotonic() - self._started
        route = self._route if self._accepted else self._label_of()
        code = _ABNORMAL if self.code is None else self.code
        if self._accepted:
            self._metrics.active.dec()
        self._metrics.durations.labels(route, _bounded(code) if self._accepted else _REFUSED).observe(seconds)
        self._log(route, code, seconds)

    def _accept(self) -> None:
        if self._accepted:
            return
        # Only now is it known which route it is; nothing else can have gone through before.
        self._accepted = True
        self._route = self._label_of()
        self._received = self._metrics.messages.labels(self._route, "received")
        self._sent = self._metrics.messages.labels(self._route, "sent")
        self._metrics.active.inc()

    def _label_of(self) -> str:
        try:
            return self._label(self._scope)
        except Exception:
            logger.exception("the route of a WebSocket connection could not be told")
            return UNMATCHED

    def _close(self, side: str, code: int) -> None:
        if self.closed_by is None:
            self.closed_by, self.code = side, code

    def _log(self, route: str, code: int, seconds: float) -> None:
        level = logging.WARNING if self._error is not None else logging.INFO
        if not _access.isEnabledFor(level):
            return
        path, outcome = self._scope["path"][:_MAX_PATH], code if self._accepted else _REFUSED
        fields: dict[str, Any] = {
            "route": route,
            "received": self._in,
            "sent": self._out,
            "closed_by": self.closed_by,
            "client": client_address(self._scope),
            "error": self._error,
        }
        output = logs.output()
        event = f"WEBSOCKET {path} {outcome} {seconds:.1f} s"
        if output is not None and output.as_json:
            event = "websocket"
            fields |= {"path": path, "close_code": outcome, "duration_ms": round(seconds * 1000, 3)}
        extra = {name: value for name, value in fields.items() if value is not None}
        _access.log(level, "%s", event, extra={"access": extra})


def _bounded(code: int) -> str:
    """A close code as a label: clients may make up any of those that are not registered for the protocol itself."""
    if 1000 <= code <= 1015:
        return str(code)
    return f"{code // 1000}xxx" if 3000 <= code <= 4999 else OTHER
