"""The database as a resource of the service: it opens with the lifespan, says whether it can be used, and closes."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import QueuePool
from starlette.requests import HTTPConnection

from fastness import _metrics
from fastness.database import session as sessions
from fastness.database.bounds import BOUNDS, Bounds
from fastness.database.engine import UNAVAILABLE, PoolSize, create_engine
from fastness.database.fit import Fleet, examine
from fastness.database.schema import Schema
from fastness.database.unit import Isolation, UnitOfWork

logger = logging.getLogger("fastness.database")

_WAITS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Database:
    """One database, its connections, and units of work on it. A `fastness.lifespan.Resource`.

    Args:
        url: see `create_engine`.
        pool: how many connections this process may hold.
        schema: the migrations that the code needs; while the database lacks some, the service is not ready.
        fleet: how many processes have such a pool: at start, all of them must fit what the database admits.
        application: names the connections in `pg_stat_activity`.
        name: names the resource and the pool in metrics.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: PoolSize | None = None,
        schema: Schema | None = None,
        fleet: Fleet | None = None,
        application: str = "fastness",
        name: str = "database",
    ) -> None:
        self.name = name
        self.pool = pool or PoolSize()
        self.engine: AsyncEngine = create_engine(url, pool=self.pool, application=application)
        self._schema = schema
        self._fleet = fleet
        self._holding: dict[asyncio.Task[object] | None, int] = {}
        self._reported: set[str] = set()
        self._hide_pool: Callable[[], None] | None = None
        self._wait = _metrics.histogram(
            "fastness_database_wait_seconds", "Time that a unit of work waited for a connection.", ("pool",), buckets=_WAITS
        ).labels(name)
        self._repeats = _metrics.counter(
            "fastness_database_repeats", "Units of work that were run again after a conflict with another.", ("pool",)
        ).labels(name)
        self._second = _metrics.counter(
            "fastness_database_second_connections", "Units of work opened by a task that held a connection.", ("pool",)
        ).labels(name)

    @property
    def dialect(self) -> str:
        """`postgresql` or `sqlite`."""
        return self.engine.dialect.name

    def unit(self, *, isolation: Isolation | None = None) -> UnitOfWork:
        """A new unit of work: `async with database.unit() as uow`. In a request, `CurrentUnit` gives the request's own."""
        return UnitOfWork(self, isolation=isolation)

    async def open(self) -> None:
        """Get ready for use. The database may be away or behind: readiness says so until it is not.

        Raises:
            ValueError: the fleet may open more connections than the database admits.
        """
        if self._schema is not None:
            self._schema.load()
        if self._fleet is not None:
            await self._check_fit(self._fleet)
        self._hide_pool = _metrics.observe_pool(self.name, self._usage)

    async def check(self) -> None:
        """Raises when the database cannot be reached or lacks migrations."""
        async with self.engine.connect() as connection:
            await connection.execution_options(**{BOUNDS: Bounds(read_only=True)})
            if self._schema is None:
                await connection.execute(text("SELECT 1"))
            else:
                await connection.run_sync(self._schema.check)

    async def close(self) -> None:
        """Close every connection."""
        if self._hide_pool is not None:
            self._hide_pool()
        await self.engine.dispose()

    async def _check_fit(self, fleet: Fleet) -> None:
        try:
            fit = await examine(self.engine, pool=self.pool, fleet=fleet)
        except UNAVAILABLE as error:
            logger.warning("whether the pools fit is not known, for the database does not answer: %s", type(error).__name__)
            return
        if fit.verdict == "too many":
            await self.engine.dispose()
            raise ValueError(f"{fit}. Make the pools smaller, run fewer processes, or put a pooler in between")
        logger.log(logging.WARNING if fit.verdict == "tight" or fit.pooler else logging.INFO, "database pools: %s", fit)

    # What follows is the unit's side.

    def session(self, unit: UnitOfWork) -> AsyncSession:
        """A session for `unit`."""
        return AsyncSession(
            self.engine,
            sync_session_class=sessions.UnitSession,
            info=sessions.of(unit),
            expire_on_commit=False,
            autoflush=False,
        )

    def hold(self, task: asyncio.Task[object] | None) -> None:
        """`task` takes a connection. One that holds another already can wait for itself when the pool is full."""
        held = self._holding.get(task, 0)
        self._holding[task] = held + 1
        if held:
            self._second.inc()
            place = _caller()
            if place not in self._reported:
                self._reported.add(place)
                logger.warning(
                    "%s opens a unit of work while its task holds %d: when every connection is held like this, all wait for "
                    "each other. Pass the open unit on, or close it first.",
                    place,
                    held,
                )

    def release(self, task: asyncio.Task[object] | None) -> None:
        """`task` gives a connection back."""
        held = self._holding.pop(task, 0)
        if held > 1:
            self._holding[task] = held - 1

    def waited(self, seconds: float) -> None:
        """A unit had to wait that long for its connection."""
        self._wait.observe(seconds)

    def repeated(self) -> None:
        """A unit is run again."""
        self._repeats.inc()

    def _usage(self) -> tuple[int, int]:
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0, self.pool.most


def _caller() -> str:
    """The place outside of this package, and of what it calls through, that opens the unit."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("fastness.database", "contextlib")):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


async def _current_unit(connection: HTTPConnection) -> UnitOfWork:
    database = getattr(connection.state, "database", None)
    if not isinstance(database, Database):
        raise RuntimeError(  # noqa: TRY004 - a fault of the composition, not of a value
            "request.state.database is not there: give Resources(state={'database': Database(...)}) and use its lifespan"
        )
    return database.unit()


CurrentUnit = Annotated[UnitOfWork, Depends(_current_unit)]
"""The unit of work of the request, the same for everything that depends on it. It holds no connection until it is entered."""
