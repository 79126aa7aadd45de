"""The table of answers, in the service's own database. Its migrations are the service's: give Alembic `metadata` as well.

`target_metadata = [Base.metadata, records.metadata]` in `migrations/env.py` lets `alembic revision --autogenerate` make it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from time import time
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
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
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", name="pk_idempotency_records"),
    Index("ix_idempotency_records_expires_at", "expires_at"),
)
_columns = records.c
_one = select(literal(1).label("one")).subquery("one")
_valid = and_(_columns.id == bindparam("key"), _columns.expires_at > bindparam("now"))
_stored = (_columns.fingerprint, _columns.status, _columns.headers, _columns.body)

_FIND = select(literal(True), *_stored).where(_valid)
# One round trip. The lock is taken only where there is nothing to give again, and by `try`, so that nobody waits.
_LOCK = select(
    case((_columns.id.is_(None), func.pg_try_advisory_xact_lock(bindparam("lock", type_=BigInteger))), else_=True), *_stored
).select_from(_one.outerjoin(records, _valid))


def _insert(insert: Any) -> Any:
    statement = insert(records)
    new = {name: statement.excluded[name] for name in ("fingerprint", "expires_at", "status", "headers", "body")}
    # In the place of one that has expired. One that has not is another request's, which was quicker: then no row is written.
    return statement.on_conflict_do_update(
        index_elements=[_columns.id], set_=new, where=_columns.expires_at <= bindparam("now", type_=_columns.expires_at.type)
    ).execution_options(preserve_rowcount=True)


_INSERT = {"postgresql": _insert(postgresql.insert), "sqlite": _insert(sqlite.insert)}

Found = tuple[bytes, Answer]
"""A fingerprint, and the answer to the request that has it."""


async def lock(connection: AsyncConnection, key: bytes, *, now: float) -> tuple[bool, Found | None]:
    """Take `key` until the transaction ends, unless it has a record. On SQLite a writing transaction excludes all others.

    Returns:
        Whether nobody else holds it, and its record.
    """
    parameters: dict[str, Any] = {"key": key, "now": _moment(now)}
    if connection.dialect.name == "sqlite":
        return True, await find(connection, key, now=now)
    parameters["lock"] = int.from_bytes(key[:8], "big", signed=True)
    row = (await connection.execute(_LOCK, parameters)).one()
    return row[0], _found(row)


async def find(connection: AsyncConnection, key: bytes, *, now: float) -> Found | None:
    """The record of `key`, None where there is none or it has expired."""
    row = (await connection.execute(_FIND, {"key": key, "now": _moment(now)})).one_or_none()
    return None if row is None else _found(row)


async def save(connection: AsyncConnection, key: bytes, fingerprint: bytes, answer: Answer, *, now: float, keep: float) -> bool:
    """Write the record of `key`. False if there is one that has not expired."""
    values = {
        "id": key,
        "fingerprint": fingerprint,
        "expires_at": _moment(now + keep),
        "status": answer.status,
        "headers": json.dumps(answer.headers, separators=(",", ":")),
        "body": answer.body,
        "now": _moment(now),
    }
    result = await connection.execute(_INSERT[connection.dialect.name], values)
    return bool(result.rowcount == 1)


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
        select(_columns.id)
        .where(_columns.expires_at <= _moment(clock()))
        .order_by(_columns.expires_at)
        .limit(batch)
        .with_for_update(skip_locked=True)  # several may prune; SQLite ignores it, and has one writer
    )
    pruned = 0
    while True:
        async with uow:
            connection = await uow.session.connection()
            deleted = (await connection.execute(delete(records).where(_columns.id.in_(expired)))).rowcount
        pruned += deleted
        if deleted < batch:
            return pruned


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _found(row: Any) -> Found | None:
    _, fingerprint, status, headers, body = row
    if fingerprint is None:
        return None
    return fingerprint, Answer(status, tuple((name, value) for name, value in json.loads(headers)), body)
