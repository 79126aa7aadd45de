"""How a transaction begins and ends: by statements of ours, which may carry others along in the same round trip.

Both databases begin by a statement of ours instead of the driver's: SQLite's driver begins late, so that two that read before
they write lose an update, and PostgreSQL's takes a round trip of its own for what one statement can say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from fastness.database import failover

BOUNDS: Final = "fastness_bounds"
"""Execution option of a connection: how its next transaction begins and ends, a `Bounds`."""


class Statement(NamedTuple):
    """A statement in the driver's own form: `%(name)s` stands for a parameter on PostgreSQL, `:name` on SQLite."""

    text: str
    parameters: Mapping[str, object]


class Bounds:
    """How one transaction begins and ends.

    Attributes:
        first: sent along with its begin.
        last: sent along with its commit, after everything else: nothing is committed when it fails.
        connected_at: when its connection was there, by `time.perf_counter`.
        rows: of each statement of `first` that gives rows, the first one, None where there is none.
    """

    __slots__ = ("connected_at", "first", "isolation", "last", "read_only", "rows", "timeout")

    def __init__(
        self,
        *,
        isolation: str | None = None,
        read_only: bool = False,
        timeout: float | None = None,
        first: Sequence[Statement] = (),
    ) -> None:
        """
        Args:
            isolation: `REPEATABLE READ` or `SERIALIZABLE` on PostgreSQL; SQLite has no other than the latter.
            read_only: the transaction changes nothing, and on SQLite waits for no writer.
            timeout: seconds for each statement. PostgreSQL stops it then; SQLite's is stopped by cancelling its task.
            first: see the attribute.
        """
        self.isolation = isolation
        self.read_only = read_only
        self.timeout = timeout
        self.first = first
        self.last: Sequence[Statement] = ()
        self.connected_at = 0.0
        self.rows: list[Any] = []

    def begin(self, connection: Connection) -> None:
        """Begin the transaction, and execute what is sent along."""
        self.connected_at = perf_counter()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN DEFERRED" if self.read_only else "BEGIN IMMEDIATE")
            results = [connection.exec_driver_sql(one.text, one.parameters) for one in self.first]
            self.rows = [result.first() for result in results if result.returns_rows]
            return
        begin = f"BEGIN ISOLATION LEVEL {self.isolation}" if self.isolation else "BEGIN"
        if self.read_only:
            begin += " READ ONLY"
        if self.timeout is not None:
            begin += f"; SET LOCAL statement_timeout = {max(1, int(self.timeout * 1000))}"
        if self.first:
            self.rows = _together(connection, Statement(begin, {}), *self.first)
        else:
            connection.exec_driver_sql(begin)

    def end(self, connection: Connection) -> None:
        """What goes along with the commit, which is the driver's own where nothing does."""
        if not self.last:
            return
        try:
            if connection.dialect.name == "sqlite":
                for one in self.last:
                    connection.exec_driver_sql(one.text, one.parameters)
            else:
                _together(connection, *self.last, Statement("COMMIT", {}))
        except BaseException:
            # SQLAlchemy takes a transaction whose commit was tried for ended, and would give the connection back with it open.
            with suppress(Exception):  # of a connection that is lost, which the pool notices
                connection.connection.rollback()
            raise


_DEFAULT = Bounds()


def install(engine: AsyncEngine) -> None:
    """Let every transaction of an engine begin and end as its connection's `Bounds` say."""
    event.listen(engine.sync_engine, "begin", _begin)
    event.listen(engine.sync_engine, "commit", _end)
    event.listen(engine.sync_engine, "handle_error", _failed)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    # Whoever chose SQLAlchemy's own isolation level has handed transactions to the driver, or wants none at all: Alembic's
    # `autocommit_block`, in which an index is made beside writers.
    if options.get("isolation_level") is None:
        options.get(BOUNDS, _DEFAULT).begin(connection)


def _end(connection: Connection) -> None:
    connection.get_execution_options().get(BOUNDS, _DEFAULT).end(connection)


def _failed(context: ExceptionContext) -> Exception | None:
    connection = context.connection
    if connection is None or connection.get_execution_options().get(BOUNDS, _DEFAULT).read_only:
        return None
    raised = failover.lost(context.original_exception, context.statement)
    if raised is not None:
        # This one alone: a server that takes no writes for long would have each write cost all readers their connections.
        context.is_disconnect, context.invalidate_pool_on_disconnect = True, False
    return raised


def _together(connection: Connection, *statements: Statement) -> list[Any]:
    """Send statements to PostgreSQL as one message; the first row of each that gives rows.

    Its protocol takes several statements at once only without parameters, so the driver writes them into the text. SQLAlchemy
    takes several only without rows, so they go past it, and whoever listens to its statements, such as a trace, is told here.
    """
    dialect, listeners = connection.dialect, connection.dispatch
    driver = dialect.loaded_dbapi
    cursor = driver.AsyncClientCursor(connection.connection.driver_connection)  # psycopg's
    text = "; ".join(statement.text for statement in statements)
    context: Any = SimpleNamespace()  # where listeners keep what is theirs

    async def send(_: Any) -> list[Any]:
        await cursor.execute("; ".join(cursor.mogrify(statement.text, statement.parameters) for statement in statements))
        rows = [await cursor.fetchone()] if cursor.description else []
        while cursor.nextset():
            if cursor.description:
                rows.append(await cursor.fetchone())
        return rows

    listeners.before_cursor_execute(connection, cursor, text, {}, context, False)
    try:
        found: list[Any] = connection.connection.dbapi_connection.run_async(send)  # type: ignore[union-attr]
    except driver.Error as error:
        refused = failover.lost(error, text)
        if refused is not None:
            connection.invalidate(error)
            raise refused from error
        raise DBAPIError.instance(text, None, error, driver.Error, hide_parameters=True, dialect=dialect) from error
    finally:
        listeners.after_cursor_execute(connection, cursor, text, {}, context, False)
    return found
