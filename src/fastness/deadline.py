"""Deadlines: a request that is not answered in time is cancelled and gets a 504.

One timer looks over the table of running requests, which costs a request far less than a timer of its own. What a handler
calls (SQL, outbound HTTP) reads the remaining time from `fastness.context`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from starlette.requests import Request

from fastness import _metrics
from fastness._asgi import ASGIApp, Exchange, Layer
from fastness.openapi import add_problem
from fastness.problems import Problem, ProblemType, respond

DEADLINE_EXCEEDED = ProblemType(
    "urn:problem-type:fastness:deadline-exceeded",
    "The answer took too long",
    504,
    "The request was given up when its deadline passed; whether it had an effect is not known.",
)

_HEADER = b"x-request-timeout-ms"
_SCOPE_KEY = "fastness.deadline"


class DeadlineMiddleware(Layer):
    """Cancels requests that have not begun to answer when their deadline passes.

    A deadline only shrinks: a client may ask for less time with `X-Request-Timeout-Ms` (milliseconds left, so that clocks need
    not agree), never for more. Once the response has started the deadline has been met; a stream may last longer.

    A `def` endpoint runs in a thread, which nothing can stop: its client gets the 504, its thread goes on to the end.

    Args:
        default: seconds for a request whose route declares no `Deadline`.
        resolution: seconds between two looks at the table; a request may overrun its deadline by that much.

    Raises:
        ValueError: `default` or `resolution` is not positive.
    """

    def __init__(self, app: ASGIApp, *, default: float = 10.0, resolution: float = 0.05) -> None:
        super().__init__(app)
        if default <= 0 or resolution <= 0:
            raise ValueError(f"deadline: default={default!r} and resolution={resolution!r} must be seconds above 0")
        self._default = default
        self._resolution = resolution
        self._running: set[Exchange] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exceeded = _metrics.counter("fastness_deadline_exceeded", "Requests given up when their deadline passed.")

    def enter(self, exchange: Exchange) -> None:
        _set_deadline(exchange, self._default)
        exchange.task = asyncio.current_task()
        exchange.scope[_SCOPE_KEY] = exchange
        self._running.add(exchange)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(self._resolution, self._sweep, loop)

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        if not (exchange.overdue and isinstance(error, asyncio.CancelledError)):
            return None
        exchange.overdue = False
        if exchange.task is not None and exchange.task.uncancel():
            return None  # somebody else cancels it too: the server is shutting down
        return respond(Problem(DEADLINE_EXCEEDED), exchange.headers.get(b"accept"))

    def leave(self, exchange: Exchange) -> None:
        self._running.discard(exchange)
        if exchange.overdue and exchange.task is not None:
            exchange.task.uncancel()  # the app caught the cancellation and answered by itself
        # The exchange is reachable from the scope, and the scope from it; neither should wait for the garbage collector.
        exchange.scope.pop(_SCOPE_KEY, None)
        exchange.task = None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for exchange in [exchange for exchange in self._running if exchange.deadline <= now or exchange.status]:
            self._running.discard(exchange)
            if exchange.status:
                continue  # it has begun to answer
            exchange.overdue = True
            self._exceeded.inc()
            if exchange.task is not None:
                exchange.task.cancel("deadline exceeded")
        if self._running:
            loop.call_later(self._resolution, self._sweep, loop)
        elif self._loop is loop:
            self._loop = None


class Deadline:
    """A dependency that gives a route its own time: `dependencies=[Depends(Deadline(60))]`.

    It counts from the arrival of the request and may be more or less than the middleware's default, but never more than the
    client asked for.

    Args:
        seconds: from the arrival of the request to the start of the response.

    Raises:
        ValueError: `seconds` is not positive.
    """

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError(f"deadline: {seconds!r} is not a positive number of seconds")
        self.seconds = seconds

    async def __call__(self, request: Request) -> None:
        exchange: Exchange | None = request.scope.get(_SCOPE_KEY)
        if exchange is None:
            raise RuntimeError(
                "Deadline() needs DeadlineMiddleware in the app's middleware list; nothing enforces it otherwise"
            )
        _set_deadline(exchange, self.seconds)

    def document_operation(self, operation: dict[str, Any]) -> None:
        """Declare the 504 in OpenAPI."""
        add_problem(operation, DEADLINE_EXCEEDED)


def _set_deadline(exchange: Exchange, seconds: float) -> None:
    asked = exchange.headers.get(_HEADER)
    if asked is not None and asked.isdigit() and len(asked) < 10:
        seconds = min(seconds, int(asked) / 1000)
    exchange.deadline = exchange.started + seconds
    if exchange.context is not None:
        exchange.context.deadline = exchange.deadline
