"""SQLite's connections: how they are set up, and what becomes of their threads when a task is cancelled."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolResetState

_PRAGMAS = (
    "journal_mode = WAL",  # readers and a writer do not wait for each other
    "synchronous = FULL",  # what was committed survives a power cut
    "foreign_keys = ON",
    "trusted_schema = OFF",
)


async def connect(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    """A connection that is set up; the arguments are the driver's."""
    # To the end, also when the task is cancelled: a thread that nobody waits for would answer to an event loop that is closed.
    opening = asyncio.ensure_future(_open(*arguments, **options))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error):  # that it could not be opened is nobody's concern any more
            await (await opening).close()
        raise


async def _open(*arguments: Any, **options: Any) -> aiosqlite.Connection:
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


def install(engine: AsyncEngine) -> None:
    """Let an engine give its connections back without a transaction, whatever happened to the task that had them."""
    event.listen(engine.sync_engine, "invalidate", _abandon)
    event.listen(engine.sync_engine, "reset", _reset)


def _reset(connection: Any, _: Any, state: PoolResetState) -> None:
    # Asked of the connection itself: a rollback goes through its thread, and each unit has already ended what it began.
    if state.asyncio_safe and not state.terminate_only and connection.driver_connection.in_transaction:
        connection.rollback()


def _abandon(connection: Any, _: Any, __: BaseException | None) -> None:
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
