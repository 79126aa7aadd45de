"""Overload and maintenance: a service that cannot serve everybody says so at once, so that it goes on serving some.

Requests in flight are bounded, the queue in front of them is bounded, and so is the time in the queue; past that comes a 503
with `Retry-After`. Probes and other exempt paths are always let through. It knows nothing of who is asking: see
`fastness.ratelimit`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable
from pathlib import Path
from time import monotonic

from fastness import _metrics, audit
from fastness._asgi import PROBES, ASGIApp, Exchange, Layer, Receive, Scope, Send
from fastness.problems import Problem, ProblemType, respond

OVERLOADED = ProblemType(
    "urn:problem-type:fastness:overloaded", "The service is overloaded", 503, "Nothing was done; try again after `Retry-After`."
)
MAINTENANCE = ProblemType(
    "urn:problem-type:fastness:maintenance",
    "The service is under maintenance",
    503,
    "Nothing was done; try again after `Retry-After`.",
)


class OverloadMiddleware(Layer):
    """Bounds the requests in flight of this process.

    A little queueing rides out a burst; a long queue only makes every answer late (Google SRE Book, chapter 21, "Handling
    Overload"). Choose `limit` where throughput stops growing: about the database pool plus what waits elsewhere.

    Args:
        limit: requests in flight.
        max_waiting: requests that may wait for a place; 0 refuses at once.
        max_wait: seconds that one may wait.
        retry_after: seconds that a refused client is asked to wait.
        exempt: paths that need no place, beyond the probes: the metrics and operations pages.

    Raises:
        ValueError: a bound is out of range.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: int = 200,
        max_waiting: int = 100,
        max_wait: float = 0.5,
        retry_after: int = 1,
        exempt: Iterable[str] = ("/metrics",),
    ) -> None:
        super().__init__(app)
        if limit < 1 or max_waiting < 0 or max_wait <= 0 or retry_after < 1:
            raise ValueError(
                f"overload: limit={limit!r} and retry_after={retry_after!r} must be at least 1, max_waiting={max_waiting!r} "
                f"at least 0, and max_wait={max_wait!r} seconds above 0"
            )
        self._limit = limit
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._retry_after = {"Retry-After": str(retry_after)}
        self._exempt = PROBES | frozenset(exempt)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        refused = _metrics.counter("fastness_overload_refused", "Requests refused for lack of a place.", ["reason"])
        self._refused_full = refused.labels("queue_full")
        self._refused_late = refused.labels("waited_too_long")
        self._queue = _metrics.gauge("fastness_overload_waiting", "Requests that wait for a place.")
        _metrics.gauge("fastness_overload_limit", "Requests that may be in flight, all processes together.").set(limit)

    def enter(self, exchange: Exchange) -> ASGIApp | Awaitable[ASGIApp | None] | None:
        if exchange.scope["path"] in self._exempt:
            return None
        if self._in_flight < self._limit:
            self._in_flight += 1
            exchange.placed = True
            return None
        if len(self._waiting) >= self._max_waiting:
            self._refused_full.inc()
            return self._refuse(exchange)
        return self._wait(exchange)

    def leave(self, exchange: Exchange) -> None:
        if exchange.placed:
            self._free()

    async def _wait(self, exchange: Exchange) -> ASGIApp | None:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(self._max_wait, _give_up, place)
        self._waiting.append(place)
        self._queue.set(len(self._waiting))
        try:
            exchange.placed = await place
        except asyncio.CancelledError:
            # The place may have been handed over in the same turn of the loop.
            if place.done() and not place.cancelled() and place.result():
                self._free()
            raise
        finally:
            timer.cancel()
            if place in self._waiting:
                self._waiting.remove(place)
            self._queue.set(len(self._waiting))
        if exchange.placed:
            return None
        self._refused_late.inc()
        return self._refuse(exchange)

    def _free(self) -> None:
        """Hand the place to the longest waiting request, else give it back."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(True)
                return
        self._in_flight -= 1

    def _refuse(self, exchange: Exchange) -> ASGIApp:
        return respond(Problem(OVERLOADED, headers=self._retry_after), exchange.headers.get(b"accept"))


def _give_up(place: asyncio.Future[bool]) -> None:
    if not place.done():
        place.set_result(False)


class MaintenanceSwitch:
    """Whether the service is under maintenance: switched in the process, or for all workers by the presence of a file.

    Args:
        file: maintenance is on while this file exists (touch it, or mount it from a config map).
        interval: seconds between two looks at the file.
    """

    def __init__(self, *, file: Path | None = None, interval: float = 1.0) -> None:
        self._file = file
        self._interval = interval
        self._switched = False
        self._seen = False
        self._look_at = 0.0
        self._gauge = _metrics.gauge("fastness_maintenance", "1 while the service is under maintenance.", many="livemax")
        self._gauge.set(0)

    def on(self) -> None:
        """Answer 503 from now on, in this process."""
        self._set(switched=True, seen=self._seen)

    def off(self) -> None:
        """Serve again, unless the file says otherwise."""
        self._set(switched=False, seen=self._seen)

    def is_on(self, now: float) -> bool:
        """Whether maintenance is on at `now`, in `time.monotonic()` seconds."""
        if self._file is not None and now >= self._look_at:
            self._look_at = now + self._interval
            self._set(switched=self._switched, seen=self._file.is_file())
        return self._switched or self._seen

    def _set(self, *, switched: bool, seen: bool) -> None:
        before = self._switched or self._seen
        self._switched, self._seen = switched, seen
        after = switched or seen
        if before != after:
            self._gauge.set(after)
            audit.record("maintenance.switch", outcome="changed", maintenance=after)


class MaintenanceMiddleware(Layer):
    """Answers 503 with `Retry-After` on everything but probes and exempt paths while `switch` is on.

    Args:
        switch: what decides.
        retry_after: seconds that clients are asked to wait.
        exempt: paths served all the same, beyond the probes.

    Raises:
        ValueError: `retry_after` is below 1.
    """

    def __init__(
        self, app: ASGIApp, *, switch: MaintenanceSwitch, retry_after: int = 60, exempt: Iterable[str] = ("/metrics",)
    ) -> None:
        super().__init__(app)
        if retry_after < 1:
            raise ValueError(f"maintenance: retry_after={retry_after!r} must be at least 1 second")
        self._switch = switch
        self._headers = {"Retry-After": str(retry_after)}
        self._exempt = PROBES | frozenset(exempt)

    def enter(self, exchange: Exchange) -> ASGIApp | None:
        if self._switch.is_on(exchange.started) and exchange.scope["path"] not in self._exempt:
            return respond(Problem(MAINTENANCE, headers=self._headers), exchange.headers.get(b"accept"))
        return None

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._switch.is_on(monotonic()):
            await receive()
            await send({"type": "websocket.close", "code": 1013})
            return
        await self.app(scope, receive, send)
