"""The drain: what happens between the signal to end and the end, so that no request fails. It closes no resource.

On SIGTERM readiness turns 503 at once while the listener goes on accepting, because a balancer needs some seconds to notice.
Then streams are told to end and the server's own handler is called, which stops listening and waits for what is in flight.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from time import monotonic
from types import FrameType
from typing import Annotated, Any, Self, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from fastness import _metrics

logger = logging.getLogger("fastness.lifespan")

T = TypeVar("T")

# systemd and process managers signal the whole group, and the parent then signals its workers: one intent, told twice.
_SAME_INTENT = 1.0

# Seconds for streams to say goodbye before the server is told: uvicorn closes WebSockets by itself, with a code of its own.
_PARTING = 0.5

# Whose handlers stand for those that were set with `loop.add_signal_handler`, which are called by way of a descriptor.
_LOOPS = ("asyncio.unix_events", "uvloop.loop")


class Drain:
    """Lets a service end without failing a request. Enter it in the lifespan: `Resources([...], drain=Drain(delay=5))`.

    Each signal goes one step further: the first SIGTERM starts the delay; a second one ends the delay; one more makes the
    server drop what is still in flight. SIGINT (Ctrl-C) waits for no balancer, so it starts at the second step. A SIGTERM
    within a second of another signal is taken for the same one.

    The server's handler is wrapped from inside the lifespan and put back at its end, which works with servers that use
    `signal.signal`: uvicorn, alone, with `--workers` and with `--reload`, and gunicorn with any of its ASGI workers. One that
    hears signals in its event loop (`hypercorn -w 0`) stops accepting at once whatever is done here, so streams end at once
    too; hypercorn's worker processes are told to end without a signal, and neither drain nor end their streams. Let the
    platform wait before it signals such a server. Outside of the main thread (a test client, say) no handler is set, and
    `begin` is the only way to start.

    How long the server waits for what is in flight is its own setting (uvicorn: `--timeout-graceful-shutdown`). Where it
    counts from the signal, as gunicorn's `--graceful-timeout` and the platform's do, it must be longer than the delay.

    Args:
        delay: seconds between the signal and the server's shutdown: longer than the balancer takes to notice a failing
            readiness probe. 0 in development, where it would only slow down each reload.
        clock: seconds of a clock that never goes back.

    Raises:
        ValueError: `delay` is negative or not finite.
    """

    def __init__(self, *, delay: float = 5.0, clock: Callable[[], float] = monotonic) -> None:
        if not (math.isfinite(delay) and delay >= 0):
            raise ValueError(f"drain: delay={delay!r} is not a number of seconds from 0 up")
        self._delay = delay
        self._clock = clock
        self._gauge = _metrics.gauge("fastness_lifespan_draining", "Processes that are draining.")
        self._previous: dict[int, Any] = {}
        self._overheard: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reset()

    def _reset(self) -> None:
        self._draining = False
        self._handed_over = False
        self._signalled_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: set[asyncio.Timeout] = set()
        self._closing = asyncio.Event()
        self._gauge.set(0)

    @property
    def draining(self) -> bool:
        """The service has been told to end: readiness answers 503."""
        return self._draining

    @property
    def closing(self) -> asyncio.Event:
        """Set when the delay is over: whatever could go on for long should come to an end now."""
        return self._closing

    async def until(self, items: AsyncIterable[T]) -> AsyncIterator[T]:
        """The items of a stream until the service ends: `StreamingResponse(drain.until(events()))`.

        Also when the source waits for its next item. It is then cancelled at that point, so its `finally` blocks run, and the
        stream ends in good order: the client sees a complete response and connects again, to another instance.
        """
        iterator = aiter(items)
        try:
            while not self._closing.is_set():
                # A time limit that `_close_streams` sets: of all cancellations, this one is told apart from others.
                waiting = asyncio.timeout(None)
                try:
                    async with waiting:
                        self._waiting.add(waiting)
                        item = await anext(iterator)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    if waiting.expired():
                        return
                    raise
                finally:
                    self._waiting.discard(waiting)
                yield item
        finally:
            if (aclose := getattr(iterator, "aclose", None)) is not None:
                await aclose()

    def begin(self) -> None:
        """Start as SIGTERM does, from any thread; again has no effect."""
        if self._draining or self._loop is None:
            return
        self._draining = True
        self._loop.call_soon_threadsafe(self._start)

    async def __aenter__(self) -> Self:
        self._reset()
        self._previous = {}
        self._overheard = set()
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                handler = signal.getsignal(number)
                # None: it was not set from Python, so it could not be put back.
                if handler is not None:
                    self._previous[number] = handler
                    if getattr(handler, "__module__", None) in _LOOPS:
                        self._overheard.add(number)
                    signal.signal(number, self._on_signal)
            if self._delay and signal.SIGTERM in self._overheard:
                logger.warning("drain: this server stops at SIGTERM whoever else handles it: the delay cannot be kept")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for number, handler in self._previous.items():
            # Whoever has wrapped us since then stays; what reaches us from there is passed on.
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)
        self._close_streams()
        self._loop = None
        self._gauge.set(0)

    def _start(self) -> None:
        if self._handed_over or self._loop is None:
            return
        self._gauge.set(1)
        logger.warning("draining: not ready from now on, accepting for another %g s", self._delay)
        self._timer = self._loop.call_later(self._delay, self._hand_over, signal.SIGTERM, None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Runs between any two instructions of the main thread: it only sets flags, and leaves the rest to the loop.
        if self._loop is None:
            self._forward(number, frame)
            return
        now = self._clock()
        if number == signal.SIGTERM and now - self._signalled_at < _SAME_INTENT:
            return
        self._signalled_at = now
        if self._handed_over:
            self._forward(signal.SIGINT, frame)  # the one that a server which is ending takes for "at once"
        elif self._draining or number == signal.SIGINT or not self._delay or number in self._overheard:
            self._hand_over(number, frame)
        else:
            self.begin()

    def _hand_over(self, number: int, frame: FrameType | None) -> None:
        self._draining = self._handed_over = True
        if self._loop is not None and self._waiting:
            self._loop.call_soon_threadsafe(self._part, self._loop, number)
            return
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._close_streams)
        self._forward(number, frame)

    def _part(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._close_streams()
        # Cancelled at the end of the lifespan, like the delay.
        self._timer = loop.call_later(_PARTING, self._forward, number, None)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        handler = self._previous.get(number)
        if callable(handler):
            handler(number, frame)
        elif handler is signal.SIG_DFL:
            signal.signal(number, handler)
            signal.raise_signal(number)

    def _close_streams(self) -> None:
        self._gauge.set(1)
        if self._timer is not None:
            self._timer.cancel()
        self._closing.set()
        for waiting in self._waiting:
            waiting.reschedule(asyncio.get_running_loop().time())


async def _current_drain(connection: HTTPConnection) -> Drain:
    drain = getattr(connection.state, "drain", None)
    if not isinstance(drain, Drain):
        raise RuntimeError(  # noqa: TRY004 - a fault of the composition, not of a value
            "request.state.drain is not there: give Resources(drain=Drain(...)) and use its lifespan"
        )
    return drain


CurrentDrain = Annotated[Drain, Depends(_current_drain)]
"""The drain of the service, for an endpoint that streams: `async def events(drain: CurrentDrain)`."""
