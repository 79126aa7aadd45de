"""The table of answers, in the service's own database. Its migrations are the service's: give Alembic `metadata` as well.

`target_metadata = [Base.metadata, records.metadata]` in `migrations/env.py` lets `alembic revision --autogenerate` make it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any, NamedTuple

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

from fastness.database import UnitOfWork
from fastness.database.bounds import Statement
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

# By `try`, so that nobody waits; and before the look, which is a statement of its own and sees what the last holder committed.
_LOCK = "SELECT pg_try_advisory_xact_lock(%(lock)s)"
_FIND = "SELECT expires_at > :now, fingerprint, status, headers, body FROM idempotency_records WHERE id = :id"
_FORGET = "DELETE FROM idempotency_records WHERE id = :id AND expires_at <= :now"
# Whatever had gone wrong with the lock, the key of the table lets only one answer be committed, and with it one effect.
_SAVE = """
INSERT INTO idempotency_records (id, fingerprint, expires_at, status, headers, body)
VALUES (:id, :fingerprint, :expires_at, :status, :headers, :body)
"""
_PARAMETER = re.compile(r":(\w+)")
_PSYCOPG = {statement: _PARAMETER.sub(r"%(\1)s", statement) for statement in (_FIND, _FORGET, _SAVE)}

Found = tuple[bytes, Answer]
"""A fingerprint, and the answer to the request that has it."""


class Seen(NamedTuple):
    """What a transaction saw of its key when it began.

    Attributes:
        free: nobody else holds it.
        found: its record, None where there is none or it has expired.
        expired: there is one that has.
    """

    free: bool
    found: Found | None
    expired: bool


def look(dialect: str, key: bytes, *, now: float) -> list[Statement]:
    """What takes `key` until the transaction ends, and finds its record; `seen` reads the rows that they give."""
    find = _statement(_FIND, dialect, {"id": key, "now": int(now)})
    if dialect == "sqlite":
        return [find]  # a writing transaction excludes all others
    return [Statement(_LOCK, {"lock": int.from_bytes(key[:8], "big", signed=True)}), find]


def seen(rows: Sequence[Any]) -> Seen:
    """What the statements of `look` say, by the first row of each."""
    *locks, record = rows
    free = all(lock[0] for lock in locks)
    if record is None:
        return Seen(free, None, expired=False)
    live, fingerprint, status, headers, body = record
    if not live:
        return Seen(free, None, expired=True)
    answer = Answer(status, tuple((name, value) for name, value in json.loads(headers)), body)
    return Seen(free, (fingerprint, answer), expired=False)


def save(
    dialect: str, key: bytes, fingerprint: bytes, answer: Answer, *, now: float, keep: float, expired: bool
) -> list[Statement]:
    """What writes the record of `key`. It fails, by a constraint, where there is one that has not expired.

    Args:
        now: seconds since the epoch.
        keep: seconds until it expires.
        expired: one that has is there, in whose place it comes.
    """
    values = {
        "id": key,
        "fingerprint": fingerprint,
        "expires_at": int(now + keep),
        "status": answer.status,
        "headers": json.dumps(answer.headers, separators=(",", ":")),
        "body": answer.body,
    }
    insert = _statement(_SAVE, dialect, values)
    return [_statement(_FORGET, dialect, {"id": key, "now": int(now)}), insert] if expired else [insert]


def _statement(text: str, dialect: str, parameters: Mapping[str, object]) -> Statement:
    return Statement(text if dialect == "sqlite" else _PSYCOPG[text], parameters)


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
