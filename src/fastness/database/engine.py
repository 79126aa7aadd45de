"""The engine: drivers, pool and connections set up so that neither database loses a write. Transactions are `unit`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fastness.database import bounds

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What is raised while the database is away, behind on its migrations, no primary any more, or too busy."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


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
      that was cut is noticed before it is used, and one whose server is no primary any more by the first write: see `failover`.
    - SQLite: WAL, foreign keys, writers that queue (`BEGIN IMMEDIATE`), and a statement that ends when its task is cancelled.

    Args:
        url: `postgresql://user:password@host/database` or `sqlite:///./service.db`.
        pool: how many connections; see `fastness doctor database` for how many fit.
        application: names the connections in PostgreSQL's `pg_stat_activity`.

    Raises:
        ValueError: see `parse_url`.
    """
    parsed, pool = parse_url(url), pool or PoolSize()
    shared: dict[str, Any] = {
        "pool_size": pool.kept,
        "max_overflow": pool.overflow,
        "pool_timeout": pool.wait,
        "hide_parameters": True,  # errors reach the log: they must not carry what clients sent
    }
    if parsed.get_backend_name() == "sqlite":
        from fastness.database import sqlite  # whose driver a service on PostgreSQL has no use for

        connect: dict[str, Any] = {"timeout": pool.wait, "async_creator_fn": sqlite.connect}
        # `sqlite` rolls back only what has begun.
        engine = create_async_engine(parsed, connect_args=connect, pool_reset_on_return=None, **shared)
        sqlite.install(engine)
    else:
        connect = {"prepare_threshold": None, "connect_timeout": max(2, round(pool.wait)), "application_name": application}
        engine = create_async_engine(parsed, connect_args=connect, pool_pre_ping=True, **shared)
        event.listen(engine.sync_engine, "connect", _open_postgresql)
    bounds.install(engine)
    return engine


def _open_postgresql(connection: Any, _: Any) -> None:
    # The driver begins nothing by itself; `bounds` does.
    connection.autocommit = True
