"""A cache: values that are loaded once for all who ask, kept for a time, and given while a newer one is fetched."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import random
from collections.abc import Awaitable, Callable
from time import monotonic, time
from typing import Generic, TypeVar, overload

from pydantic import TypeAdapter

from fastness import _tasks
from fastness.cache._entry import Entry
from fastness.cache._measures import Measures
from fastness.cache.store import SharedStore, Store
from fastness.context import RequestContext, current, within

logger = logging.getLogger("fastness.cache")

T = TypeVar("T")
R = TypeVar("R")

# Seconds between looks at the store while another process loads.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.2


class Cache(Generic[T]):
    """Values by key, as a resource of the lifespan: `await prices.get(sku, load)`.

    However many ask for a key at once, it is loaded once: in this process, and with a store that is shared among all of them.
    A load belongs to the cache: who asked for it may go away, and it has the time of the cache, not that of one request, whose
    trace it goes on with but not whose principal. Everything about the store is optional: one that fails or is slow is a miss.

    Args:
        name: names the resource, its keys, and the cache in metrics.
        kind: the type of the values, as pydantic takes it; they are kept as JSON. Those who wait for one load share what it
            gives, so do not change it.
        store: where they are kept.
        ttl: seconds for which a value is used.
        stale: seconds beyond, in which it is given at once and a newer one is loaded behind the scenes; a load that fails is
            tried again after a tenth of `ttl`.
        negative_ttl: seconds for which None is kept, which `load` gives for what is not there; by default it is not.
        jitter: share of a time by which it may be shorter, so that not all values expire together.
        version: part of the keys; another one makes all that was kept unreachable. For when values mean something else.
        load_timeout: seconds for a load, and for which another process is waited for.
        store_timeout: seconds for each step at the store.
        clock: seconds since 1970, which processes that share a store agree on.

    Raises:
        ValueError: an argument is not valid.
    """

    def __init__(
        self,
        name: str,
        kind: type[T] | TypeAdapter[T],
        *,
        store: Store,
        ttl: float,
        stale: float = 0.0,
        negative_ttl: float | None = None,
        jitter: float = 0.1,
        version: int | str = 1,
        load_timeout: float = 10.0,
        store_timeout: float = 0.1,
        clock: Callable[[], float] = time,
    ) -> None:
        times = {"ttl": ttl, "negative_ttl": negative_ttl, "load_timeout": load_timeout, "store_timeout": store_timeout}
        for what, seconds in times.items():
            if seconds is not None and not 0 < seconds < math.inf:
                raise ValueError(f"cache {name!r}: {what}={seconds!r} is not a positive number of seconds")
        if not 0 <= stale < math.inf or not 0 <= jitter < 1:
            raise ValueError(f"cache {name!r}: stale={stale!r} must be seconds and jitter={jitter!r} a share below 1")
        if not name or ":" in name or ":" in str(version):
            raise ValueError(f"cache {name!r}: name and version={version!r} are parts of keys, which a colon divides")
        self.name = name
        self._values: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        self._store = store
        self._shared = store if isinstance(store, SharedStore) else None
        self._ttl = ttl
        self._stale = stale
        self._negative_ttl = negative_ttl
        self._jitter = jitter
        self._prefix = f"{name}:{version}:"
        self._load_timeout = load_timeout
        self._store_timeout = store_timeout
        self._clock = clock
        self._measures = Measures(name)
        self._open = False
        self._failing = False
        self._loads: dict[str, asyncio.Task[T | None]] = {}
        self._tasks: set[asyncio.Task[T | None]] = set()

    async def open(self) -> None:
        """Take requests."""
        self._open = True

    async def check(self) -> None:
        """Always ready: the service can do without a cache."""

    async def close(self) -> None:
        """Cancel the loads under way, and wait until they have ended."""
        self._open = False
        await _tasks.end(*self._tasks)

    @overload
    async def get(self, key: str, load: Callable[[], Awaitable[T]]) -> T: ...
    @overload
    async def get(self, key: str, load: Callable[[], Awaitable[T | None]]) -> T | None: ...
    async def get(self, key: str, load: Callable[[], Awaitable[T | None]]) -> T | None:
        """The value of a key: kept, or loaded now.

        Args:
            key: everything that the value depends on, the tenant included.
            load: gives the value. Who asks for one key must give loads that do the same: only one of them runs.

        Raises:
            TimeoutError: the load took longer than `load_timeout`.
            RuntimeError: the cache is not open.
        """
        if not self._open:
            raise RuntimeError(f"cache {self.name!r} is not open: use it within the lifespan")
        key = self._prefix + key
        entry, value, reached = await self._read(key)
        if entry is None:
            self._measures.miss.inc()
            return await self._result(self._loading(key, load, None, reached=reached))
        if self._clock() < entry.fresh_until:
            self._measures.hit.inc()
        else:
            self._measures.stale.inc()
            self._loading(key, load, entry, reached=True)
        return value

    async def forget(self, key: str) -> None:
        """Keep the value of a key no longer, nor one that is being loaded now: for when what it was made of has changed.

        While the store cannot be reached, the value stays until it expires; that is logged and counted.
        """
        key = self._prefix + key
        # Who asks from now on must not be given what was loaded before.
        self._loads.pop(key, None)
        await self._step("delete", self._store.delete(key))

    def _loading(
        self, key: str, load: Callable[[], Awaitable[T | None]], stale: Entry | None, *, reached: bool
    ) -> asyncio.Task[T | None]:
        """The load of a key that is under way, or a new one."""
        task = self._loads.get(key)
        if task is not None:
            return task
        if not self._open:
            raise RuntimeError(f"cache {self.name!r} is being closed")
        flight = self._fetch(key, load, reached=reached) if stale is None else self._refresh(key, load, stale)
        task = asyncio.create_task(flight, name=f"cache {self.name}", context=_surroundings(self._load_timeout))
        self._loads[key] = task
        self._tasks.add(task)

        def done(task: asyncio.Task[T | None]) -> None:
            self._tasks.discard(task)
            if self._loads.get(key) is task:
                del self._loads[key]
            if not task.cancelled():
                task.exception()  # seen, also when everybody who asked has gone away

        task.add_done_callback(done)
        return task

    async def _result(self, task: asyncio.Task[T | None]) -> T | None:
        """What a load gives. Whoever waits may be cancelled; the load goes on."""
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if task.cancelled() and waiting is not None and not waiting.cancelling():
                raise RuntimeError(f"cache {self.name!r} was closed while a value was loaded") from None
            raise

    async def _fetch(self, key: str, load: Callable[[], Awaitable[T | None]], *, reached: bool) -> T | None:
        """Load a value that is not there, unless another process is quicker."""
        token, begun, pause = None, monotonic(), _FIRST_LOOK
        while reached and self._shared is not None and monotonic() - begun < self._load_timeout:
            reached, token = await self._step("lease", self._shared.lease(key, self._load_timeout + 1))
            if token is not None or not reached:
                break
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - hides nothing
            pause = min(2 * pause, _LAST_LOOK)
            entry, value, reached = await self._read(key)
            if entry is not None:
                return value
        if not reached:  # a store that has just failed would only take more time
            return await self._load(load)
        # Somebody may have loaded it between our look and our turn.
        entry, value, _ = await self._read(key)
        if entry is not None:
            await self._give_back(key, token)
            return value
        return await self._load_and_keep(key, load, token, None)

    async def _refresh(self, key: str, load: Callable[[], Awaitable[T | None]], stale: Entry) -> T | None:
        """Load a newer value than one that is given meanwhile; nobody waits for it, and one process is enough."""
        token = None
        if self._shared is not None:
            _, token = await self._step("lease", self._shared.lease(key, self._load_timeout + 1))
            if token is None:
                return None
        return await self._load_and_keep(key, load, token, stale)

    async def _load_and_keep(
        self, key: str, load: Callable[[], Awaitable[T | None]], token: str | None, stale: Entry | None
    ) -> T | None:
        value, entry = None, None
        try:
            value = await self._load(load)
            entry = self._entry(value)
        except BaseException as error:
            if stale is None or not isinstance(error, Exception):
                # Also when cancelled: others need not wait until the lease runs out.
                await self._give_back(key, token)
                raise
            logger.warning("cache %r: a newer value could not be loaded: %s", self.name, type(error).__name__, exc_info=error)
            entry = stale.postponed(self._clock() + self._ttl / 10)
        if entry is None or not self._is_current(key):
            await self._give_back(key, token)
            return value
        seconds = max(0.001, entry.ends_at - self._clock())
        if token is not None and self._shared is not None:
            await self._step("fill", self._shared.fill(key, entry.pack(), seconds, token))
        else:
            await self._step("set", self._store.set(key, entry.pack(), seconds))
        return value

    async def _load(self, load: Callable[[], Awaitable[T | None]]) -> T | None:
        begun = monotonic()
        outcome = self._measures.failed
        try:
            async with asyncio.timeout(self._load_timeout):
                value = await load()
            outcome = self._measures.loaded
            return value
        finally:
            outcome.observe(monotonic() - begun)

    def _entry(self, value: T | None) -> Entry | None:
        """What is kept of a value, None if nothing is."""
        ttl, stale, body = self._ttl, self._stale, None
        if value is None:
            if self._negative_ttl is None:
                return None
            ttl, stale = self._negative_ttl, 0.0
        else:
            body = self._values.dump_json(value, warnings="error")
        fresh_until = self._clock() + ttl * random.uniform(1 - self._jitter, 1)  # noqa: S311 - hides nothing
        return Entry(body, fresh_until, fresh_until + stale)

    async def _read(self, key: str) -> tuple[Entry | None, T | None, bool]:
        """The entry of a key and its value, if it is usable; and whether the store was reached."""
        reached, packed = await self._step("get", self._store.get(key))
        if packed is None:
            return None, None, reached
        try:
            entry = Entry.unpack(packed)
            value = None if entry.body is None else self._values.validate_json(entry.body)
        except ValueError:  # pydantic's errors are some, too; what is kept may be of another version of the service
            self._measures.error("decode")
            return None, None, reached
        return (entry, value, reached) if self._clock() < entry.ends_at else (None, None, reached)

    async def _give_back(self, key: str, token: str | None) -> None:
        if token is not None and self._shared is not None:
            await self._step("release", self._shared.release(key, token))

    async def _step(self, step: str, doing: Awaitable[R]) -> tuple[bool, R | None]:
        """One step at the store: whether it succeeded, and what it gave."""
        try:
            async with asyncio.timeout(self._store_timeout):
                result = await doing
        except Exception as error:  # noqa: BLE001 - whatever a store does, the service goes on
            self._measures.error(step)
            if not self._failing:
                self._failing = True
                logger.error("cache %r: the store is down, values are loaded each time: %s", self.name, _reason(error))  # noqa: TRY400
            return False, None
        if self._failing:
            self._failing = False
            logger.warning("cache %r: the store answers again", self.name)
        return True, result

    def _is_current(self, key: str) -> bool:
        """Whether the load that asks has not been forgotten since it began."""
        return self._loads.get(key) is asyncio.current_task()


def _surroundings(seconds: float) -> contextvars.Context:
    """What a load sees: the trace and the id of the request that asked first, not its principal, and the time of the cache."""
    asked, own = current(), None
    if asked is not None:
        own = RequestContext(asked.request_id, asked.trace_id, asked.span_id, asked.sampled)
        own.deadline = monotonic() + seconds
    with within(own):
        return contextvars.copy_context()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
