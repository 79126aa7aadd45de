"""The pass: how layers that stand side by side run as one ASGI middleware. It knows no feature.

A *layer* is a middleware class that can be used alone, at any place of a middleware list. When the list puts layers next
to each other, the outermost of the run absorbs its neighbours at construction (Starlette builds the stack from the inside
out), and one coroutine with one `send` wrapper runs the hooks of all of them. A middleware that is not a layer ends the
run, so everything keeps the place that the list gives it. Hooks are plain functions: a layer that has nothing to say at
some moment costs nothing there.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from operator import length_hint
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from contextvars import Token

    from fastness.context import RequestContext

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
HeaderLines = list[tuple[bytes, bytes]]

PROBES = frozenset({"/livez", "/readyz", "/startupz"})
"""Paths that the platform calls: a refusal there would restart or unplug a service that is only busy."""


OWED = "fastness.headers"
"""Scope key of header lines that a dependency adds to whatever will be the response: its own, an error's, or one that the
endpoint makes. It is there below every layer."""


def client_address(scope: Scope) -> str | None:
    """Address of the client: the server's peer, or whom trusted proxies name, which `ContextMiddleware` puts in its place.

    None where the server has none, on a Unix socket.
    """
    client = scope.get("client")
    return client[0] if client else None


class Exchange:
    """One HTTP request and its response, as the layers of one pass see them.

    Attributes:
        headers: the request's headers by lower-case name; of a name that is repeated, the first line.
        started: `time.monotonic()` seconds at which the pass received the request.
        status: status code of the response, 0 until it starts.
        size: bytes of response body handed to the server so far.
        done: the last part of the response body was handed to the server.
        ended: `time.monotonic()` seconds at which that happened, 0 until then; background tasks run after it.
        owed: header lines for the response, from anybody who has the scope; see `OWED`.
        error: the exception that ended the request, whether or not a layer answered it.
        disconnected: the app was told that the client is gone.
    """

    __slots__ = (
        "_plan",
        "_receive",
        "_send",
        "_starts",
        "context",
        "context_token",
        "deadline",
        "disconnected",
        "done",
        "ended",
        "error",
        "headers",
        "otel_token",
        "overdue",
        "owed",
        "placed",
        "received",
        "scope",
        "size",
        "started",
        "status",
        "task",
    )

    def __init__(self, plan: Plan, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = monotonic()
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.owed: HeaderLines = scope.setdefault(OWED, [])
        self.status = 0
        self.size = 0
        self.done = False
        self.ended = 0.0
        self.disconnected = False
        self.error: BaseException | None = None
        self._plan = plan
        self._receive = receive
        self._send = send
        self._starts = plan.starts
        # Each is written by the one layer that owns it; together they keep an exchange to a single small object.
        self.context: RequestContext | None = None
        self.context_token: Token[Any] | None = None
        self.deadline = 0.0
        self.otel_token: Token[Any] | None = None
        self.overdue = False
        self.placed = False
        self.received = 0
        self.task: asyncio.Task[Any] | None = None

    async def receive(self) -> Message:
        """The server's `receive`, watched by the layers' `received` hooks."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        else:
            for hook in self._plan.receives:
                hook(self, message)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """The server's `send`, with the layers' `start` hooks run on the response's header lines.

        The server's coroutine is handed on as it is: one of our own around it would be the dearest part of this.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            # A copy: the list belongs to a Response object, which the app may send again.
            lines: HeaderLines = [*message.get("headers", ()), *self.owed]
            self.owed.clear()
            for start in self._starts:
                start(self, lines)
            message["headers"] = lines
        elif kind == "http.response.body":
            self.size += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.done = True
                self.ended = monotonic()
        elif kind == "http.response.pathsend":
            self.done = True
            self.ended = monotonic()
        return self._send(message)


Refusal = ASGIApp | Awaitable[ASGIApp | None] | None


class Layer:
    """A pure-ASGI middleware that shares one pass with the layers next to it.

    Subclasses override the hooks they need; a hook must be fast and must not block. For one request they run in this order:
    `enter` from the outermost layer inwards, the app, `start` from the innermost outwards when the response starts, `leave`
    from the innermost outwards at the end. WebSocket connections pass through `websocket`, one layer inside the other.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._plan: Plan = Plan((self, *app._plan.layers), app._plan.app) if isinstance(app, Layer) else Plan((self,), app)

    def enter(self, exchange: Exchange) -> Refusal:
        """Before the app. Returns None to go on, an ASGI response to refuse the request, or an awaitable of either.

        A layer that refuses is not left: its `leave` does not run.
        """

    def received(self, exchange: Exchange, message: Message) -> None:
        """A part of the request body has arrived. May raise to end the request."""

    def start(self, exchange: Exchange, headers: HeaderLines) -> None:
        """The response starts; `headers` may be changed in place."""

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        """The app raised `error`. Returns a response, which is sent unless another has started, or None."""

    def leave(self, exchange: Exchange) -> None:
        """The request has ended, well or not. Runs for every layer that was entered; must not raise."""

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket connection."""
        await self.app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self.websocket if scope["type"] == "websocket" else self.app)(scope, receive, send)
            return
        plan = self._plan
        exchange = Exchange(plan, scope, receive, send)
        entering = iter(plan.enters)
        entered = False
        try:
            for enter in entering:
                answer = enter(exchange)
                if answer is not None:
                    if inspect.isawaitable(answer):
                        answer = await answer
                    if answer is not None:
                        exchange._starts = plan.refused(entering).starts
                        # The server's own `receive`: a body that is refused is nobody's to watch.
                        await answer(scope, receive, exchange.send)
                        return
            entered = True
            await plan.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.error = error
            response = None
            for recover in plan.recovers:
                response = recover(exchange, error)
                if response is not None:
                    break
            if response is None or exchange.status:
                raise
            await response(scope, exchange.receive, exchange.send)
        finally:
            for leave in plan.leaves if entered else plan.refused(entering).leaves:
                leave(exchange)


class Plan:
    """The hooks of a run of layers, outermost first, resolved once so that a request only walks tuples."""

    __slots__ = ("_refusals", "app", "enters", "layers", "leaves", "receives", "recovers", "starts")

    def __init__(self, layers: tuple[Layer, ...], app: ASGIApp) -> None:
        self.layers = layers
        self.app = app
        self.enters = tuple(layer.enter for layer in layers if _has(layer, "enter"))
        self.receives = tuple(layer.received for layer in layers if _has(layer, "received"))
        self.recovers = tuple(layer.recover for layer in reversed(layers) if _has(layer, "recover"))
        self.starts = _starts(layers)
        self.leaves = _leaves(layers)
        self._refusals = tuple(
            _Refused(_starts(layers[: depth + 1]), _leaves(layers[:depth]))
            for depth, layer in enumerate(layers)
            if _has(layer, "enter")
        )

    def refused(self, entering: Iterator[Any]) -> _Refused:
        """What is owed when the layer whose `enter` came last from `entering` has refused or failed."""
        return self._refusals[-1 - length_hint(entering)]


class _Refused(NamedTuple):
    """The headers of the layer that refuses and of those around it are owed, and the `leave` of those around it."""

    starts: tuple[Callable[[Exchange, HeaderLines], None], ...]
    leaves: tuple[Callable[[Exchange], None], ...]


def _starts(layers: tuple[Layer, ...]) -> tuple[Callable[[Exchange, HeaderLines], None], ...]:
    return tuple(layer.start for layer in reversed(layers) if _has(layer, "start"))


def _leaves(layers: tuple[Layer, ...]) -> tuple[Callable[[Exchange], None], ...]:
    return tuple(layer.leave for layer in reversed(layers) if _has(layer, "leave"))


def _has(layer: Layer, hook: str) -> bool:
    return getattr(type(layer), hook) is not getattr(Layer, hook)


def path_below_root(scope: Scope) -> str:
    """The path of a request as the app's routes have it: without the `root_path` under which the app is served."""
    path: str = scope["path"]
    # Below a mount `root_path` has grown by the mount's own.
    root = scope.get("app_root_path", scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path
