"""Jobs on SQLite: one table in the service's own file, for one worker process at a time. The loop is `worker`.

Claims are made in writing transactions, of which SQLite has one at a time. A lock on a file beside the database keeps a
second worker process out; a named pipe beside it wakes the worker, so that it need not ask again and again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from fastness.database import Database
from fastness.jobs._place import WorkerPlace
from fastness.jobs.model import (
    Claim,
    Enqueued,
    JobError,
    JobFilter,
    JobLost,
    JobRecord,
    JobState,
    NewJob,
    QueueStatus,
    Retention,
    Settlement,
)

if TYPE_CHECKING:
    from fastness.database import UnitOfWork

metadata = MetaData()
"""Of the tables of jobs, apart from the service's own."""

_QUEUED = text("state = 'queued'")
_FIRST = text("state = 'queued' AND attempts = 0")

jobs = Table(
    "fastness_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task", String(128), nullable=False),
    Column("queue", String(128), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("crashes", Integer, nullable=False, default=0),
    Column("strange", Integer, nullable=False, default=0, server_default="0"),
    Column("error", Text),
    Column("done", Text, nullable=False, default="[]"),  # effects of `once`
    Column("key", String(400)),
    Column("lock", String(200)),
    Column("trace", String(64)),
    Column("request_id", String(128)),
    Column("cancelling", Boolean, nullable=False, default=False),
    Column("enqueued_at", Float, nullable=False),  # seconds since 1970, as the others
    Column("due_at", Float, nullable=False),
    Column("finished_at", Float),
    sqlite_autoincrement=True,  # an id is never used again, so that a mark or a log line names one job for ever
)
Index("fastness_jobs_queued_idx", jobs.c.priority.desc(), jobs.c.id, sqlite_where=_QUEUED)
Index("fastness_jobs_due_idx", jobs.c.due_at, sqlite_where=_QUEUED)
Index("fastness_jobs_key_idx", jobs.c.key, unique=True, sqlite_where=_FIRST)
Index("fastness_jobs_lock_idx", jobs.c.lock, sqlite_where=text("state IN ('queued', 'running') AND lock IS NOT NULL"))
Index("fastness_jobs_state_idx", jobs.c.state, jobs.c.finished_at)

ticks = Table(
    "fastness_job_ticks",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("at", Integer, nullable=False),
)

_DIED = "the worker died while it ran the job"


def missing_columns(connection: Connection) -> list[Column[Any]] | None:
    """Those that the table of jobs lacks, being older than this code; None when there is no table."""
    inspector = inspect(connection)
    if not inspector.has_table(jobs.name):
        return None
    there = {column["name"] for column in inspector.get_columns(jobs.name)}
    return [column for column in jobs.columns if column.name not in there]


class SQLiteEngine:
    """`fastness.jobs.model.Engine` in the service's own file.

    Args:
        database: where the jobs are.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._place = WorkerPlace(Path(database.engine.url.database or "").resolve())
        self._claimed: set[tuple[int, int]] = set()

    async def insert(self, uow: UnitOfWork, jobs_: Sequence[NewJob]) -> list[Enqueued]:
        made = [await self._insert(uow, job) for job in jobs_]
        uow.on_commit(lambda: self._place.notify(cancelled=False))
        return made

    async def get(self, uow: UnitOfWork, job_id: int) -> JobRecord | None:
        row = (await uow.session.execute(select(jobs).where(jobs.c.id == job_id))).one_or_none()
        return None if row is None else _record(row)

    async def states(self, uow: UnitOfWork, job_ids: Collection[int]) -> Mapping[int, JobState]:
        rows = await uow.session.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(job_ids)))
        return {job_id: JobState(state) for job_id, state in rows}

    async def find(self, uow: UnitOfWork, where: JobFilter, *, limit: int, before: int | None) -> list[JobRecord]:
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        for column, value in ((jobs.c.state, where.state), (jobs.c.queue, where.queue), (jobs.c.task, where.task)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(jobs.c.id < before)
        return [_record(row) for row in await uow.session.execute(query)]

    async def cancel(self, uow: UnitOfWork, job_id: int) -> bool:
        state = await uow.session.scalar(select(jobs.c.state).where(jobs.c.id == job_id))
        if state == JobState.QUEUED:
            values: dict[str, Any] = {"state": JobState.CANCELLED, "finished_at": self._clock()}
        elif state == JobState.RUNNING:
            values = {"cancelling": True}
            uow.on_commit(lambda: self._place.notify(cancelled=True))
        else:
            return False
        await uow.session.execute(update(jobs).where(jobs.c.id == job_id).values(values))
        return True

    async def retry(self, uow: UnitOfWork, job_id: int) -> bool:
        ended = jobs.c.state.in_((JobState.FAILED, JobState.CANCELLED))
        values = {
            "state": JobState.QUEUED,
            "due_at": self._clock(),
            "finished_at": None,
            "cancelling": False,
            "crashes": 0,
            "strange": 0,
            "key": None,
        }
        found = await uow.session.scalar(update(jobs).where(jobs.c.id == job_id, ended).values(values).returning(jobs.c.id))
        uow.on_commit(lambda: self._place.notify(cancelled=False))
        return found is not None

    async def mark(self, uow: UnitOfWork, claim: Claim, effect: str) -> bool:
        held = and_(jobs.c.id == claim.id, jobs.c.state == JobState.RUNNING, jobs.c.attempts == claim.attempts)
        stored = await uow.session.scalar(select(jobs.c.done).where(held))
        if stored is None:
            raise JobLost(f"job {claim.id} is not this worker's any more")
        done = json.loads(stored)
        if effect in done:
            return False
        await uow.session.execute(update(jobs).where(held).values(done=json.dumps([*done, effect])))
        return True

    async def check(self) -> None:
        async with self._database.unit().reading() as uow:
            missing = await (await uow.session.connection()).run_sync(missing_columns)
        if missing is None:
            raise JobError("the tables of jobs are missing: add a migration with fastness.jobs.migrations.upgrade(op)")
        if missing:
            raise JobError("the tables of jobs are behind: add a migration with fastness.jobs.migrations.upgrade(op)")

    async def start(self, wake: Callable[[], None], cancelled: Callable[[], None]) -> None:
        self._place.take(wake, cancelled)

    async def stop(self) -> None:
        self._claimed.clear()
        self._place.leave()

    async def claim(self, queues: Collection[str] | None, limit: int) -> list[Claim]:
        now, other = self._clock(), jobs.alias()
        ahead = or_(other.c.priority > jobs.c.priority, and_(other.c.priority == jobs.c.priority, other.c.id < jobs.c.id))
        blocked = exists().where(
            other.c.lock == jobs.c.lock,
            or_(other.c.state == JobState.RUNNING, and_(other.c.state == JobState.QUEUED, ahead)),
            other.c.state.in_((JobState.QUEUED, JobState.RUNNING)),
        )
        query = (
            select(jobs)
            .where(_QUEUED, jobs.c.due_at <= now, or_(jobs.c.lock.is_(None), ~blocked))
            .order_by(jobs.c.priority.desc(), jobs.c.id)
            .limit(limit)
        )
        if queues is not None:
            query = query.where(jobs.c.queue.in_(queues))
        taken: set[tuple[int, int]] = set()
        try:
            async with self._database.engine.begin() as connection:
                claims = [_claim(row) for row in await connection.execute(query)]
                if claims:
                    running = update(jobs).where(jobs.c.id.in_([claim.id for claim in claims])).values(state=JobState.RUNNING)
                    await connection.execute(running)
                    # Before the commit: `rescue` must never find what is claimed here and not remembered.
                    taken = {(claim.id, claim.attempts) for claim in claims}
                    self._claimed |= taken
        except BaseException:
            self._claimed -= taken  # if they are committed all the same, `rescue` has them
            raise
        return claims

    async def due_in(self, queues: Collection[str] | None) -> float | None:
        query = select(func.min(jobs.c.due_at)).where(_QUEUED)
        if queues is not None:
            query = query.where(jobs.c.queue.in_(queues))
        async with self._database.unit().reading() as uow:
            due_at = await uow.session.scalar(query)
        return None if due_at is None else max(0.0, due_at - self._clock())

    async def settle(self, settlements: Sequence[Settlement]) -> set[int]:
        now, settled = self._clock(), set()
        async with self._database.engine.begin() as connection:
            for settlement in settlements:
                claim, state = settlement.claim, settlement.state
                again = state is JobState.QUEUED
                values: dict[str, Any] = {
                    "attempts": jobs.c.attempts + 1,
                    "state": case((jobs.c.cancelling, JobState.CANCELLED), else_=state) if again else state,
                    "cancelling": False,
                    "finished_at": case((jobs.c.cancelling, now), else_=None) if again else now,
                }
                if again:
                    values |= {"due_at": now + settlement.delay}
                if settlement.error is not None:
                    values["error"] = settlement.error
                if settlement.strange is not None:
                    values["strange"] = settlement.strange
                held = (jobs.c.id == claim.id, jobs.c.state == JobState.RUNNING, jobs.c.attempts == claim.attempts)
                done = await connection.execute(update(jobs).where(*held).values(values))
                if done.rowcount:
                    settled.add(claim.id)
        self._claimed -= {(settlement.claim.id, settlement.claim.attempts) for settlement in settlements}
        return settled

    async def to_cancel(self, claims: Sequence[Claim]) -> set[int]:
        held = tuple_(jobs.c.id, jobs.c.attempts).in_([(claim.id, claim.attempts) for claim in claims])
        query = select(jobs.c.id).where(held, jobs.c.state == JobState.RUNNING, ~jobs.c.cancelling)
        async with self._database.unit().reading() as uow:
            wanted = set(await uow.session.scalars(query))
        return {claim.id for claim in claims} - wanted

    async def beat(self) -> bool:
        return True  # the lock on the file says it

    async def rescue(self, crashes: int, dead_after: float) -> tuple[int, int]:  # noqa: ARG002 - the lock says who is dead
        # This process has the lock: whatever runs without it having claimed it belonged to one that died.
        running = select(jobs.c.id, jobs.c.attempts, jobs.c.crashes, jobs.c.cancelling).where(jobs.c.state == JobState.RUNNING)
        counts = {JobState.QUEUED: 0, JobState.FAILED: 0, JobState.CANCELLED: 0}
        now = self._clock()
        async with self._database.engine.begin() as connection:
            for job_id, attempts, crashed, cancelling in (await connection.execute(running)).all():
                if (job_id, attempts) in self._claimed:
                    continue
                last = crashed + 1 >= crashes
                state = JobState.CANCELLED if cancelling else JobState.FAILED if last else JobState.QUEUED
                counts[state] += 1
                values: dict[str, Any] = {"state": state, "attempts": attempts + 1, "crashes": crashed + 1, "error": _DIED}
                if state is not JobState.QUEUED:
                    values |= {"finished_at": now, "cancelling": False}
                await connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
        return counts[JobState.QUEUED], counts[JobState.FAILED]

    async def tick(self, name: str, at: int, job: NewJob) -> bool:
        stored = upsert(ticks).values(name=name, at=at)
        later = stored.on_conflict_do_update(index_elements=["name"], set_={"at": at}, where=ticks.c.at < at)
        async with self._database.engine.begin() as connection:
            if (await connection.execute(later.returning(ticks.c.name))).one_or_none() is None:
                return False
            waiting = await connection.scalar(select(jobs.c.id).where(jobs.c.key == job.key, _FIRST))
            if waiting is not None:
                return False  # the one before has not begun
            await connection.execute(insert(jobs).values(self._values(job)))
            return True

    async def prune(self, retention: Retention, limit: int) -> int:
        now, count = self._clock(), 0
        for state, seconds in (
            (JobState.SUCCEEDED, retention.succeeded),
            (JobState.CANCELLED, retention.cancelled),
            (JobState.FAILED, retention.failed),
        ):
            old = select(jobs.c.id).where(jobs.c.state == state, jobs.c.finished_at <= now - seconds).limit(limit - count)
            async with self._database.engine.begin() as connection:
                count += (await connection.execute(delete(jobs).where(jobs.c.id.in_(old)))).rowcount
        return count

    async def sample(self) -> Sequence[QueueStatus]:
        now = self._clock()
        due = and_(jobs.c.state == JobState.QUEUED, jobs.c.due_at <= now)
        query = (
            select(
                jobs.c.queue,
                func.count().filter(due),
                func.count().filter(jobs.c.state == JobState.QUEUED, jobs.c.due_at > now),
                func.count().filter(jobs.c.state == JobState.RUNNING),
                func.count().filter(jobs.c.state == JobState.FAILED),
                func.coalesce(func.max(now - func.max(jobs.c.due_at, jobs.c.enqueued_at)).filter(due), 0.0),
            )
            .where(jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.FAILED)))
            .group_by(jobs.c.queue)
            .order_by(jobs.c.queue)
        )
        async with self._database.unit().reading() as uow:
            return [
                QueueStatus(queue=queue, waiting=waiting, scheduled=scheduled, running=running, failed=failed, oldest=oldest)
                for queue, waiting, scheduled, running, failed, oldest in await uow.session.execute(query)
            ]

    async def _insert(self, uow: UnitOfWork, job: NewJob) -> Enqueued:
        if job.key is not None:
            waiting = await uow.session.scalar(select(jobs.c.id).where(jobs.c.key == job.key, _FIRST))
            if waiting is not None:
                return Enqueued(waiting, created=False)
        made = await uow.session.scalar(insert(jobs).values(self._values(job)).returning(jobs.c.id))
        return Enqueued(int(made or 0), created=True)

    def _values(self, job: NewJob) -> dict[str, Any]:
        return {
            "task": job.task,
            "queue": job.queue,
            "priority": job.priority,
            "state": JobState.QUEUED,
            "arguments": job.arguments,
            "key": job.key,
            "lock": job.lock,
            "trace": job.trace,
            "request_id": job.request_id,
            "enqueued_at": job.enqueued_at,
            # At once is before any time: a clock that is set back holds up only what was to wait.
            "due_at": self._clock() + job.delay if job.delay else 0.0,
        }


def _claim(row: Any) -> Claim:
    return Claim(
        id=row.id,
        task=row.task,
        queue=row.queue,
        attempts=row.attempts,
        worker=os.getpid(),
        arguments=row.arguments,
        enqueued_at=row.enqueued_at,
        trace=row.trace,
        request_id=row.request_id,
        strange=row.strange,
    )


def _record(row: Any) -> JobRecord:
    state = JobState(row.state)
    return JobRecord(
        id=row.id,
        task=row.task,
        queue=row.queue,
        state=state,
        priority=row.priority,
        arguments=json.loads(row.arguments),
        attempts=row.attempts,
        crashes=row.crashes,
        error=row.error,
        key=None if row.key is None else row.key.removeprefix(f"{row.task}:"),
        lock=row.lock,
        request_id=row.request_id,
        enqueued_at=datetime.fromtimestamp(row.enqueued_at, UTC),
        due_at=datetime.fromtimestamp(row.due_at, UTC) if state is JobState.QUEUED and row.due_at > row.enqueued_at else None,
        finished_at=None if row.finished_at is None else datetime.fromtimestamp(row.finished_at, UTC),
    )
