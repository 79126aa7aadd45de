"""The database as a resource of the service: it opens with the lifespan, says whether it is ready, and closes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastness.telemetry import instrument, metrics
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import QueuePool

from app import NAME
from app.infra.db.schema import Schema

Session = AsyncSession
"""A database session; named here so that nothing else imports SQLAlchemy."""

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What is raised while the database is away, behind on its migrations, or too busy."""

# Options of a connection for a transaction that only reads.
READ_ONLY = {"postgresql_readonly": True, "sqlite_begin": "BEGIN DEFERRED"}

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many connections this process may hold.

    Attributes:
        kept: connections that stay open.
        overflow: more of them under load.
        wait: seconds that a request waits for one.
    """

    kept: int = 5
    overflow: int = 5
    wait: float = 5.0


def parse_url(url: str) -> URL:
    """`url` with the driver that this service uses.

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
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("the database URL names no file: SQLite in memory is another database for each connection")
    return parsed


def create_engine(url: str, *, pool: PoolSize | None = None, application: str = NAME) -> AsyncEngine:
    """An engine for the service, its worker and its migrations. Connects when it is first used; dispose of it.

    Args:
        url: see `parse_url`.
        pool: how many connections.
        application: names them in PostgreSQL's `pg_stat_activity`.
    """
    parsed, pool = parse_url(url), pool or PoolSize()
    sqlite = parsed.get_backend_name() == "sqlite"
    connect: dict[str, Any]
    if sqlite:
        connect = {"timeout": pool.wait}
    else:
        # Without prepared statements the service also runs behind a pooler such as PgBouncer.
        connect = {"prepare_threshold": None, "connect_timeout": max(2, round(pool.wait)), "application_name": application}
    engine = create_async_engine(
        parsed,
        connect_args=connect,
        pool_size=pool.kept,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
        pool_pre_ping=not sqlite,
        hide_parameters=True,  # errors reach the log: they must not carry what clients sent
    )
    if sqlite:
        event.listen(engine.sync_engine, "connect", _open_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _open_sqlite(connection: Any, _: Any) -> None:
    # The driver would begin transactions by itself, and late: two that read before they write would lose an update.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")  # readers and a writer do not wait for each other
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once, so that it waits for its turn before it reads.
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))


class Database:
    """The engine and its sessions."""

    name = "database"

    def __init__(self, url: str, *, pool: PoolSize | None = None, application: str = NAME) -> None:
        self._pool_size = pool or PoolSize()
        self.engine = create_engine(url, pool=self._pool_size, application=application)
        instrument.sqlalchemy(self.engine)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=False)
        self._schema: Schema | None = None
        self._hide_pool: Callable[[], None] | None = None

    def session(self) -> AsyncSession:
        """A new session: `async with database.session() as session`."""
        return self._sessions()

    async def open(self) -> None:
        """Read which migrations this code needs. The database may be away or behind: readiness says so until it is not."""
        self._schema = Schema()
        self._hide_pool = metrics.observe_pool(self.name, self._usage)

    async def check(self) -> None:
        """Raises when the database cannot be reached or lacks migrations."""
        if self._schema is None:
            raise RuntimeError("the database is not open")
        async with self.engine.connect() as connection:
            await connection.execution_options(**READ_ONLY)
            await connection.run_sync(self._schema.check)

    async def close(self) -> None:
        """Close every connection."""
        if self._hide_pool is not None:
            self._hide_pool()
        await self.engine.dispose()

    def _usage(self) -> tuple[int, int]:
        """Connections in use, and how many there may be."""
        pool = self.engine.pool
        in_use = pool.checkedout() if isinstance(pool, QueuePool) else 0
        return in_use, self._pool_size.kept + self._pool_size.overflow
