"""The engine: drivers, pool and connections set up so that neither database loses a write. Transactions are `unit`'s."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiosqlite
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolResetState

from fastness.database import bounds

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What is raised while the database is away, behind on its migrations, or too busy."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_PRAGMAS = (
    "journal_mode = WAL",  # readers and a writer do not wait for each other
    "synchronous = FULL",  # what was committed survives a power cut
    "foreign_keys = ON",
    "trusted_schema = OFF",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """How many connections a process may hold.

    Attributes:
        kept: connections that stay open.
        overflow: more of them under load.
        wait: seconds that a unit of work waits for one.
    """

    kept: int = 5
    overflow: int = 5
    wait: float = 5.0

    def __post_init__(self) -> None:
        if self.kept < 1 or self.overflow < 0 or self.wait <= 0:
            raise ValueError(f"pool: {self} needs kept >= 1, overflow >= 0 and wait > 0")

    @property
    def most(self) -> int:
        """Connections under load."""
        return self.kept + self.overflow


def parse_url(url: str) -> URL:
    """`url` with the driver that is used here: aiosqlite or psycopg.

    Raises:
        ValueError: it is not the URL of a SQLite or PostgreSQL database. The text does not quote it: it may hold a password.
    """
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    except (ArgumentError, KeyError, ValueError):
        raise ValueError(
            "the database URL is neither sqlite:///./service.db nor postgresql://user:password@host/database"
        ) from None
    if parsed.get_backend_name() == "sqlite" and (parsed.database in {None, "", ":memory:"} or "mode" in parsed.query):
        raise ValueError("the database URL names no file: SQLite in memory is another database for each connection")
    return parsed


def create_engine(url: str, *, pool: PoolSize | None = None, application: str = "fastness") -> AsyncEngine:
    """An engine for a service, its worker and its migrations. Connects when it is first used; dispose of it.

    - PostgreSQL: psycopg 3 without prepared statements, so that it also works behind a pooler such as PgBouncer. A connection
      that was cut is noticed before it is used.
    - SQLite: WAL, foreign keys, writers that queue (`BEGIN IMMEDIATE`), and a statement that ends when its task is cancelled.

    Args:
        url: `postgresql://user:password@host/database` or `sqlite:///./service.db`.
        pool: how many connections; see `fastness doctor database` for how many fit.
        application: names the connections in PostgreSQL's `pg_stat_activity`.

    Raises:
        ValueError: see `parse_url`.
    """
    parsed, pool = parse_url(url), pool or PoolSize()
    sqlite = parsed.get_backend_name() == "sqlite"
    connect: dict[str, Any]
    if sqlite:
        connect = {"timeout": pool.wait, "async_creator_fn": _connect_sqlite}
    else:
        connect = {"prepare_threshold": None, "connect_timeout": max(2, round(pool.wait)), "application_name": application}
    engine = create_async_engine(
        parsed,
        connect_args=connect,
        pool_size=pool.kept,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
        pool_pre_ping=not sqlite,
        pool_reset_on_return=None if sqlite else "rollback",  # where it costs nothing
        hide_parameters=True,  # errors reach the log: they must not carry what clients sent
    )
    if sqlite:
        event.listen(engine.sync_engine, "invalidate", _abandon_sqlite)
        event.listen(engine.sync_engine, "reset", _reset_sqlite)
    else:
        event.listen(engine.sync_engine, "connect", _open_postgresql)
    bounds.install(engine)
    return engine


def _open_postgresql(connection: Any, _: Any) -> None:
    # The driver begins nothing by itself; `bounds` does.
    connection.autocommit = True


async def _connect_sqlite(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    # To the end, also when the task is cancelled: a thread that nobody waits for would answer to an event loop that is closed.
    opening = asyncio.ensure_future(_open_sqlite(*arguments, **options))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error):  # that it could not be opened is nobody's concern any more
            await (await opening).close()
        raise


async def _open_sqlite(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    connection = aiosqlite.connect(*arguments, **options)
    connection._thread.daemon = True  # as SQLAlchemy has it: one that was not closed must not hold up the process
    await connection
    try:
        connection.isolation_level = None  # the driver begins nothing by itself; `bounds` does
        for pragma in _PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        await connection.close()
        raise
    return connection


def _reset_sqlite(connection: Any, _: Any, state: PoolResetState) -> None:
    # Asked of the connection itself: a rollback goes through its thread, and each unit has already ended what it began.
    if state.asyncio_safe and not state.terminate_only and connection.driver_connection.in_transaction:
        connection.rollback()


def _abandon_sqlite(connection: Any, _: Any, __: BaseException | None) -> None:
    # A cancelled task leaves its statement in the driver's thread, and its transaction with the write lock.
    if connection is not None:
        with suppress(sqlite3.Error, ValueError):  # what cannot be rolled back is closed next
            connection.run_async(_roll_back)


async def _roll_back(driver: Any) -> None:
    rollback = asyncio.ensure_future(driver.rollback())  # waits for the statement that is under way
    while not rollback.done():
        # Again and again, because an interrupt has no effect on a statement that the thread has yet to begin.
        await driver.interrupt()
        await asyncio.wait({rollback}, timeout=0.01)
    await rollback
