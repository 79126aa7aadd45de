"""Resources: they open in order when the service starts and close in reverse when it ends. Signals belong to `drain`.

`Resources.lifespan` is FastAPI's `lifespan=`, and as well the frame of a worker or a script that has no FastAPI.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from fastness import _metrics
from fastness.lifespan.drain import Drain
from fastness.lifespan.memory import settled

logger = logging.getLogger("fastness.lifespan")

T = TypeVar("T")

# Errors of the code rather than of what it talks to: there the traceback is what helps.
_BUGS = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError)

# What drivers quote when a connection fails: credentials in a URL, and in a key=value connection string.
_CREDENTIALS = re.compile(r"(?<=://)\S+@|(?<=password=)\S+|(?<=passwd=)\S+|(?<=secret=)\S+|(?<=token=)\S+", re.IGNORECASE)
_MAX_REASON = 300


class Resource(Protocol):
    """Something that the service holds as long as it runs: a pool, a client, a cache, a set of keys.

    A resource may have a `hint: str` that says what to do when it does not open ("set DATABASE_URL").
    """

    @property
    def name(self) -> str:
        """Names it in errors, logs, metrics, readiness and `request.state`; unique within the service."""

    async def open(self) -> None:
        """Get ready for use. What a failed `open` has begun, it cleans up itself, as `__aenter__` does."""

    async def close(self) -> None:
        """Give everything back. Called once for each `open` that succeeded."""

    async def check(self) -> None:
        """Raise when it cannot be used now. Must be cheap: readiness probes ask every few seconds."""


class Managed(Generic[T]):
    """A resource made of an async context manager; what that gives is found on `request.state` under `name`.

    Args:
        name: names the resource.
        manager: makes the context manager, for instance a client class. A context manager itself will do if it is opened
            only once in the life of the process.
        check: raises when the given value cannot be used now; without it, an open resource counts as ready.
        hint: what to do when it does not open.
    """

    def __init__(
        self,
        name: str,
        manager: Callable[[], AbstractAsyncContextManager[T]] | AbstractAsyncContextManager[T],
        *,
        check: Callable[[T], Awaitable[object]] | None = None,
        hint: str = "",
    ) -> None:
        self.name = name
        self.hint = hint
        self._manager = manager
        self._check = check
        self._entered: tuple[AbstractAsyncContextManager[T], T] | None = None

    @property
    def value(self) -> T:
        """What the context manager gave.

        Raises:
            RuntimeError: the resource is not open.
        """
        if self._entered is None:
            raise RuntimeError(f"resource {self.name!r} is not open: use it within the lifespan")
        return self._entered[1]

    async def open(self) -> None:
        """Enter the context manager."""
        made = self._manager if isinstance(self._manager, AbstractAsyncContextManager) else self._manager()
        self._entered = (made, await made.__aenter__())

    async def close(self) -> None:
        """Leave the context manager."""
        entered, self._entered = self._entered, None
        if entered is not None:
            await entered[0].__aexit__(None, None, None)

    async def check(self) -> None:
        """Run the declared check, if any."""
        value = self.value
        if self._check is not None:
            await self._check(value)


class ResourceError(Exception):
    """Something went wrong with a resource.

    Attributes:
        resource: its name.
    """

    def __init__(self, resource: str, message: str) -> None:
        super().__init__(message)
        self.resource = resource


class StartupError(ResourceError):
    """A resource did not open. The text is one line that says which, why, and what to do."""


class CloseError(ResourceError):
    """A resource did not close; the cause is its exception."""


class Resources:
    """The resources of a service: `FastAPI(lifespan=Resources([...]).lifespan)`.

    Within the lifespan, `request.state` has every resource under its name (of a `Managed`, its value), the drain as `drain`,
    and what `state` adds.

    Args:
        resources: opened in this order, closed in reverse.
        drain: entered once all are open and left before the first is closed.
        state: further values for `request.state`, such as `authenticator`.
        open_timeout: seconds that each resource may take to open.
        close_timeout: seconds that each resource may take to close.
        settle: tune the garbage collector for a long life once all are open; for production, since it takes a moment.
        clock: seconds of a clock that never goes back.

    Raises:
        ValueError: two values for `request.state` have one name, or a time limit is not positive.
    """

    def __init__(
        self,
        resources: Iterable[Resource],
        *,
        drain: Drain | None = None,
        state: Mapping[str, Any] | None = None,
        open_timeout: float = 10.0,
        close_timeout: float = 10.0,
        settle: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        for what, seconds in (("open_timeout", open_timeout), ("close_timeout", close_timeout)):
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"resources: {what}={seconds!r} is not a positive number of seconds")
        self._resources = tuple(resources)
        self._drain = drain
        self._state = dict(state or {})
        self._open_timeout = open_timeout
        self._close_timeout = close_timeout
        self._settle = settle
        self._clock = clock
        self._started = False
        taken = set(self._state) | ({"drain"} if drain is not None else set())
        for resource in self._resources:
            if not resource.name or resource.name in taken:
                raise ValueError(f"resources: the name {resource.name!r} is empty or taken; each needs a name of its own")
            taken.add(resource.name)
        self._open_seconds = _metrics.gauge(
            "fastness_lifespan_open_seconds", "Time that a resource took to open.", ["resource"], many="livemax"
        )

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources)

    @property
    def started(self) -> bool:
        """All resources are open, and none is being closed."""
        return self._started

    @property
    def draining(self) -> bool:
        """The service has been told to end and still serves what comes."""
        return self._drain is not None and self._drain.draining

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[dict[str, Any]]:  # noqa: ARG002 - as FastAPI calls it
        """Open everything, give the values for `request.state`, and close everything, whatever happens in between.

        Raises:
            StartupError: a resource did not open. Those opened before it have been closed.
            ExceptionGroup: of `CloseError`, when resources did not close and nothing else went wrong; otherwise they are
                noted on what did. Every resource gets its turn to close.
        """
        opened: list[Resource] = []
        try:
            for resource in self._resources:
                await self._open(resource)
                opened.append(resource)
            async with self._drain or nullcontext():
                with settled() if self._settle else nullcontext():
                    self._started = True
                    yield self._values()
        except BaseException as error:
            self._started = False
            for failure in await self._close_all(opened):
                error.add_note(f"then {failure}")
            raise
        self._started = False
        if failures := await self._close_all(opened):
            raise ExceptionGroup("not all resources did close", failures)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {r.name: r.value if isinstance(r, Managed) else r for r in self._resources}
        if self._drain is not None:
            values["drain"] = self._drain
        return values | self._state

    async def _open(self, resource: Resource) -> None:
        begun = self._clock()
        limit = asyncio.timeout(self._open_timeout)
        try:
            async with limit:
                await resource.open()
        except Exception as error:
            if isinstance(error, _BUGS):
                raise StartupError(resource.name, f"resource {resource.name!r} did not open: {_reason(error)}") from error
            reason = f"not within {self._open_timeout:g} s" if limit.expired() else _reason(error)
            hint = getattr(resource, "hint", "") or "Check that what it connects to is running and that its settings are right."
            failure = StartupError(resource.name, f"resource {resource.name!r} did not open: {reason}. {hint}")
            logger.error("%s", failure, extra={"resource": resource.name})  # noqa: TRY400 - one line is the point
            logger.debug("resource %r did not open", resource.name, exc_info=error)
            logging.getLogger("uvicorn.error").addFilter(_told)
            raise failure from None
        seconds = self._clock() - begun
        self._open_seconds.labels(resource.name).set(seconds)
        logger.info("resource %r opened in %.3f s", resource.name, seconds, extra={"resource": resource.name})

    async def _close_all(self, opened: Sequence[Resource]) -> list[CloseError]:
        failures: list[CloseError] = []
        interruption: BaseException | None = None
        for resource in reversed(opened):
            try:
                await self._close(resource)
            except CloseError as failure:
                failures.append(failure)
                logger.error("%s", failure, exc_info=failure.__cause__, extra={"resource": resource.name})  # noqa: TRY400
            except BaseException as error:  # noqa: BLE001 - cancelled again: the others still get their turn
                interruption = error
        if interruption is not None:
            raise interruption
        return failures

    async def _close(self, resource: Resource) -> None:
        begun = self._clock()
        limit = asyncio.timeout(self._close_timeout)
        try:
            async with limit:
                await resource.close()
        except Exception as error:
            reason = f"not within {self._close_timeout:g} s" if limit.expired() else _reason(error)
            raise CloseError(resource.name, f"resource {resource.name!r} did not close: {reason}") from error
        logger.info("resource %r closed in %.3f s", resource.name, self._clock() - begun, extra={"resource": resource.name})


def _reason(error: BaseException) -> str:
    """`error` on one line, without credentials."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = _CREDENTIALS.sub("***", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text}"[:_MAX_REASON].rstrip(".: ")


class _Told(logging.Filter):
    """Drops the traceback that uvicorn writes for a start-up error which has been told in one line.

    Starlette hands the formatted traceback of any failed lifespan to the server, and it is longer by every included router.
    """

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the exception at hand decides, not the text
        error = sys.exception()
        return not (isinstance(error, StartupError) and error.__cause__ is None)


_told = _Told()
