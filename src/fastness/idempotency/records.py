"""The table of answers, in the service's own database. Its migrations are the service's: give Alembic `metadata` as well.

`target_metadata = [Base.metadata, records.metadata]` in `migrations/env.py` lets `alembic revision --autogenerate` make it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from time import time
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    delete,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from fastness.database import UnitOfWork
from fastness.idempotency.answer import Answer

metadata = MetaData()

records = Table(
    "idempotency_records",
    metadata,
    # SHA-256 of caller, operation and key: no key is kept, since on a public route it is all that protects the answer.
    Column("id", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # seconds since the epoch
    Column("status", SmallInteger, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", name="pk_idempotency_records"),
    Index("ix_idempotency_records_expires_at", "expires_at"),
)

# One round trip each, and for the driver itself: on PostgreSQL, an ORM's way to it takes longer than the statement does.
_FIND = "SELECT true, fingerprint, status, headers, body FROM idempotency_records WHERE id = :id AND expires_at > :now"
# The lock is taken only where there is nothing to give again, and by `try`, so that nobody waits.
_LOCK = """
SELECT CASE WHEN r.id IS NULL THEN pg_try_advisory_xact_lock(:lock) ELSE true END, r.fingerprint, r.status, r.headers, r.body
FROM (SELECT 1) AS one LEFT JOIN idempotency_records AS r ON r.id = :id AND r.expires_at > :now
"""
# In the place of one that has expired. One that has not is another request's, which was quicker: then no row is written.
_SAVE = """
INSERT INTO idempotency_records (id, fingerprint, expires_at, status, headers, body)
VALUES (:id, :fingerprint, :expires_at, :status, :headers, :body)
ON CONFLICT (id) DO UPDATE SET
    fingerprint = excluded.fingerprint, expires_at = excluded.expires_at,
    status = excluded.status, headers = excluded.headers, body = excluded.body
WHERE idempotency_records.expires_at <= :now
"""
_PARAMETER = re.compile(r":(\w+)")
_PSYCOPG = {statement: _PARAMETER.sub(r"%(\1)s", statement) for statement in (_FIND, _LOCK, _SAVE)}

Found = tuple[bytes, Answer]
"""A fingerprint, and the answer to the request that has it."""


async def lock(connection: AsyncConnection, key: bytes, *, now: float) -> tuple[bool, Found | None]:
    """Take `key` until the transaction ends, unless it has a record. On SQLite a writing transaction excludes all others.

    Returns:
        Whether nobody else holds it, and its record.
    """
    if connection.dialect.name == "sqlite":
        return True, await find(connection, key, now=now)
    number = int.from_bytes(key[:8], "big", signed=True)
    row, _ = await _run(connection, _LOCK, {"id": key, "now": int(now), "lock": number})
    return row[0], _found(row)


async def find(connection: AsyncConnection, key: bytes, *, now: float) -> Found | None:
    """The record of `key`, None where there is none or it has expired."""
    row, _ = await _run(connection, _FIND, {"id": key, "now": int(now)})
    return None if row is None else _found(row)


async def save(connection: AsyncConnection, key: bytes, fingerprint: bytes, answer: Answer, *, now: float, keep: float) -> bool:
    """Write the record of `key`. False if there is one that has not expired."""
    values = {
        "id": key,
        "fingerprint": fingerprint,
        "expires_at": int(now + keep),
        "status": answer.status,
        "headers": json.dumps(answer.headers, separators=(",", ":")),
        "body": answer.body,
        "now": int(now),
    }
    _, written = await _run(connection, _SAVE, values)
    return written == 1


async def prune(uow: UnitOfWork, *, batch: int = 1000, clock: Callable[[], float] = time) -> int:
    """Delete the records that have expired, `batch` in a transaction, and say how many. For a periodic job.

    Args:
        uow: not open; each batch opens it.
        batch: so many rows are locked at once.
        clock: seconds since the epoch.

    Raises:
        ValueError: `batch` is below 1.
    """
    if batch < 1:
        raise ValueError(f"batch={batch!r} must be at least 1")
    expired = (
        select(records.c.id)
        .where(records.c.expires_at <= int(clock()))
        .order_by(records.c.expires_at)
        .limit(batch)
        .with_for_update(skip_locked=True)  # several may prune; SQLite ignores it, and has one writer
    )
    pruned = 0
    while True:
        async with uow:
            connection = await uow.session.connection()
            deleted = (await connection.execute(delete(records).where(records.c.id.in_(expired)))).rowcount
        pruned += deleted
        if deleted < batch:
            return pruned


def driver(connection: AsyncConnection) -> Any:
    """The driver's own connection: psycopg's or aiosqlite's."""
    return connection.sync_connection.connection.driver_connection if connection.sync_connection is not None else None


async def _run(connection: AsyncConnection, statement: str, parameters: dict[str, Any]) -> tuple[Any, int]:
    """The first row of what `statement` gives, and how many it found or wrote."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        result = await connection.exec_driver_sql(statement, parameters)
        return (result.one_or_none(), 0) if result.returns_rows else (None, result.rowcount)
    error = dialect.loaded_dbapi.Error
    try:
        cursor = await driver(connection).execute(_PSYCOPG[statement], parameters)
        return await cursor.fetchone() if cursor.description else None, cursor.rowcount
    except error as failure:
        raise DBAPIError.instance(None, None, failure, error, dialect=dialect) from failure


def _found(row: Any) -> Found | None:
    _, fingerprint, status, headers, body = row
    if fingerprint is None:
        return None
    return fingerprint, Answer(status, tuple((name, value) for name, value in json.loads(headers)), body)
