"""Jobs on PostgreSQL, in procrastinate's tables and by its functions. The loop that runs them is `worker`.

Whoever enqueues uses the session's own connection. A worker has a small pool of its own, and one connection that listens.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from procrastinate.sql import queries
from psycopg.errors import UniqueViolation
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text

from fastness import _tasks
from fastness.database import Database, parse_url
from fastness.database.fit import WORKER_CONNECTIONS
from fastness.jobs import _statements as sql
from fastness.jobs.migrations import check_version
from fastness.jobs.model import (
    Claim,
    Contended,
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

logger = logging.getLogger("fastness.jobs")

_CHANNEL = "procrastinate_any_queue_v1"
_WAIT = 10.0
_STATUS = {
    JobState.QUEUED: ("todo",),
    JobState.RUNNING: ("doing",),
    JobState.SUCCEEDED: ("succeeded",),
    JobState.FAILED: ("failed",),
    JobState.CANCELLED: ("aborted", "cancelled", "aborting"),
}
_STATE = {status: state for state, statuses in _STATUS.items() for status in statuses}
_DIED = "the worker died while it ran the job"


class PostgresEngine:
    """`fastness.jobs.model.Engine` on procrastinate's schema.

    Args:
        database: where the jobs are.
        direct_url: of the server itself, for LISTEN, where `database` goes through a pooler.
    """

    def __init__(self, database: Database, *, direct_url: str | None = None) -> None:
        self._conninfo = _conninfo(database.engine.url)
        self._listen_to = self._conninfo if direct_url is None else _conninfo(parse_url(direct_url))
        self._database = database
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]] | None = None
        self._worker: int | None = None
        self._claiming = asyncio.Lock()
        self._claimed: set[tuple[int, int]] = set()
        self._listener: asyncio.Task[None] | None = None

    async def insert(self, uow: UnitOfWork, jobs: Sequence[NewJob]) -> list[Enqueued]:
        # Two rows of one key in one statement would be one row changed twice, which PostgreSQL refuses.
        unique = {job.key or index: job for index, job in reversed(list(enumerate(jobs)))}
        rows = f"[{','.join(_row(job) for job in reversed(unique.values()))}]"
        found = (await uow.session.execute(text(sql.INSERT), {"jobs": rows})).all()
        made = [Enqueued(job_id, created) for job_id, created, _ in found]
        return made if len(unique) == len(jobs) else _spread(jobs, list(reversed(unique)), made)

    async def get(self, uow: UnitOfWork, job_id: int) -> JobRecord | None:
        row = (await uow.session.execute(text(sql.GET), {"id": job_id})).one_or_none()
        return None if row is None else _record(row)

    async def states(self, uow: UnitOfWork, job_ids: Collection[int]) -> Mapping[int, JobState]:
        rows = await uow.session.execute(text(sql.STATES), {"ids": list(job_ids)})
        return {job_id: _STATE[status] for job_id, status in rows}

    async def find(self, uow: UnitOfWork, where: JobFilter, *, limit: int, before: int | None) -> list[JobRecord]:
        statuses = None if where.state is None else f"{{{','.join(_STATUS[where.state])}}}"
        wanted = {"statuses": statuses, "queue": where.queue, "task": where.task, "limit": limit, "before": before}
        return [_record(row) for row in await uow.session.execute(text(sql.LIST), wanted)]

    async def cancel(self, uow: UnitOfWork, job_id: int) -> bool:
        return await uow.session.scalar(text(sql.CANCEL), {"id": job_id}) is not None

    async def retry(self, uow: UnitOfWork, job_id: int) -> bool:
        return (await uow.session.execute(text(sql.RETRY), {"id": job_id})).one_or_none() is not None

    async def mark(self, uow: UnitOfWork, claim: Claim, effect: str) -> bool:
        values = {"id": claim.id, "attempts": claim.attempts, "worker": claim.worker, "effect": effect}
        done = await uow.session.scalar(text(sql.MARK), values)
        if done is None:
            raise JobLost(f"job {claim.id} is not this worker's any more")
        return not done

    async def check(self) -> None:
        async with self._database.unit().reading() as uow:
            there, comment = (await uow.session.execute(text(sql.VERSION))).one()
        check_version(comment if there else None, there=there)

    async def start(self, wake: Callable[[], None], cancelled: Callable[[], None]) -> None:
        self._claiming = asyncio.Lock()  # belongs to one event loop
        # Opened in the background: a database that is away at the start is the worker's loop to wait for.
        self._pool = AsyncConnectionPool(
            self._conninfo,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None,
                "application_name": "fastness-worker",
                "connect_timeout": 10,
            },
            min_size=1,
            max_size=WORKER_CONNECTIONS - 1,
            timeout=_WAIT,
            open=False,
        )
        await self._pool.open(wait=False)
        self._listener = asyncio.create_task(self._listen(wake, cancelled), name="job notifications")

    async def stop(self) -> None:
        listener, self._listener = self._listener, None
        pool, self._pool = self._pool, None
        worker, self._worker = self._worker, None
        self._claimed.clear()
        if listener is not None:
            await _tasks.end(listener)
        if pool is not None:
            if worker is not None:
                # Or others would wait for its heartbeat to grow old before they take what it leaves.
                with suppress(psycopg.Error):
                    async with pool.connection(timeout=2) as connection:
                        await connection.execute(queries["unregister_worker"], {"worker_id": worker})
            await pool.close(timeout=2)

    async def claim(self, queues: Collection[str] | None, limit: int) -> list[Claim]:
        async with self._claiming:
            if self._worker is None:
                self._worker = int((await self._run(queries["register_worker"], {}))[0][0])
            worker = self._worker
            values = {"queues": None if queues is None else list(queues), "worker": worker, "limit": limit}
            try:
                claims = [_claim(row, worker) for row in await self._run(sql.CLAIM, values)]
            except UniqueViolation:
                raise Contended from None
            self._claimed |= {(claim.id, claim.attempts) for claim in claims}
        return claims

    async def due_in(self, queues: Collection[str] | None) -> float | None:
        rows = await self._run(sql.DUE_IN, {"queues": None if queues is None else list(queues)})
        return None if rows[0][0] is None else max(0.0, rows[0][0])

    async def settle(self, settlements: Sequence[Settlement]) -> set[int]:
        rows = [
            {
                **_held(settlement.claim),
                # What was running ends as `aborted` in procrastinate's words.
                "status": _STATUS[settlement.state][0],
                "delay": settlement.delay,
                "error": settlement.error,
                "strange": settlement.strange,
            }
            for settlement in settlements
        ]
        settled = {row[0] for row in await self._run(sql.SETTLE, {"rows": json.dumps(rows)})}
        self._claimed -= {(settlement.claim.id, settlement.claim.attempts) for settlement in settlements}
        return settled

    async def to_cancel(self, claims: Sequence[Claim]) -> set[int]:
        return {row[0] for row in await self._run(sql.TO_CANCEL, {"rows": json.dumps([_held(claim) for claim in claims])})}

    async def beat(self) -> bool:
        if self._worker is None or await self._run(sql.BEAT, {"worker": self._worker}):
            return True
        self._worker = None
        return False

    async def rescue(self, crashes: int, dead_after: float) -> tuple[int, int]:
        async with self._claiming:  # or what is claimed meanwhile would look as if nobody knew of it
            if self._worker is not None:
                ids = [job_id for job_id, _ in self._claimed]
                await self._run(sql.RETURN, {"worker": self._worker, "ids": ids})
        await self._run(queries["prune_stalled_workers"], {"seconds_since_heartbeat": dead_after})
        rows = await self._run(sql.RESCUE, {"crashes": crashes, "error": _DIED})
        return rows[0][0], rows[0][1]

    async def tick(self, name: str, at: int, job: NewJob) -> bool:
        values = {
            "queue": job.queue,
            "lock": job.lock,
            "queueing_lock": job.key,
            "task_name": job.task,
            "priority": job.priority,
            "periodic_id": name,
            "defer_timestamp": at,
            "args": psycopg.types.json.Jsonb(None, dumps=lambda _: _envelope(job)),
        }
        try:
            rows = await self._run(queries["defer_periodic_job"], values)
        except UniqueViolation:
            return False  # the one before has not begun
        return rows[0][0] is not None

    async def prune(self, retention: Retention, limit: int) -> int:
        count = 0
        for state, seconds in (
            (JobState.SUCCEEDED, retention.succeeded),
            (JobState.CANCELLED, retention.cancelled),
            (JobState.FAILED, retention.failed),
        ):
            values = {"statuses": list(_STATUS[state]), "seconds": seconds, "limit": limit - count}
            async with self._connection() as connection:
                count += (await connection.execute(sql.PRUNE, values)).rowcount
            if count >= limit:
                break
        return count

    async def sample(self) -> Sequence[QueueStatus]:
        return [
            QueueStatus(
                queue=queue, waiting=waiting, scheduled=scheduled, running=running, failed=failed, oldest=max(0.0, oldest)
            )
            for queue, waiting, scheduled, running, failed, oldest in await self._run(sql.SAMPLE, {})
        ]

    def _connection(self) -> Any:
        if self._pool is None:
            raise JobError("jobs: the worker's side of the engine is used outside of start() and stop()")
        return self._pool.connection()

    async def _run(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            rows: list[tuple[Any, ...]] = await (await connection.execute(statement, values)).fetchall()
            return rows

    async def _listen(self, wake: Callable[[], None], cancelled: Callable[[], None]) -> None:
        """Pass notifications on, for ever. Without them the worker looks by itself every few seconds."""
        lost = False
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._listen_to, autocommit=True, application_name="fastness-worker-listen", connect_timeout=10
                )
                async with connection:
                    await connection.execute(f'LISTEN "{_CHANNEL}"')
                    lost = False
                    wake()  # what came before
                    async for notification in connection.notifies():
                        (cancelled if "abort_job_requested" in notification.payload else wake)()
            except psycopg.Error as error:
                if not lost:
                    logger.warning("notifications of jobs are lost; looking every few seconds: %s", type(error).__name__)
                lost = True
            await asyncio.sleep(1)


def _conninfo(url: Any) -> str:
    return str(url.set(drivername="postgresql").render_as_string(hide_password=False))


def _envelope(job: NewJob) -> str:
    rest = {"at": job.enqueued_at, "key": job.key, "trace": job.trace, "request": job.request_id}
    known = json.dumps({name: value for name, value in rest.items() if value is not None})
    return f'{{"args": {job.arguments}, {known[1:]}'  # the arguments as they are: numbers keep their digits


def _row(job: NewJob) -> str:
    columns = {
        "queue": job.queue,
        "task": job.task,
        "priority": job.priority,
        "lock": job.lock,
        "key": job.key,
        "delay": job.delay,
    }
    return f'{{"args": {_envelope(job)}, {json.dumps(columns)[1:]}'


def _spread(jobs: Sequence[NewJob], keys: list[Any], made: list[Enqueued]) -> list[Enqueued]:
    """One result for each job, where several of one key became one."""
    by_key = dict(zip(keys, made, strict=True))
    results, seen = [], set()
    for index, job in enumerate(jobs):
        key = job.key or index
        found = by_key[key]
        results.append(found if key not in seen else Enqueued(found.id, created=False))
        seen.add(key)
    return results


def _held(claim: Claim) -> dict[str, Any]:
    return {"id": claim.id, "attempts": claim.attempts, "worker": claim.worker}


def _claim(row: tuple[Any, ...], worker: int) -> Claim:
    job_id, task, queue, attempts, stored = row
    return Claim(
        id=job_id,
        task=task,
        queue=queue,
        attempts=attempts,
        worker=worker,
        arguments=json.dumps(stored.get("args", {})),
        enqueued_at=stored.get("at", 0.0),
        trace=stored.get("trace"),
        request_id=stored.get("request"),
        strange=stored.get("strange", 0),
    )


def _record(row: Any) -> JobRecord:
    job_id, task, queue, status, priority, stored, attempts, lock, scheduled_at, finished_at = row
    state = _STATE[status]
    key = stored.get("key")
    return JobRecord(
        id=job_id,
        task=task,
        queue=queue,
        state=state,
        priority=priority,
        arguments=stored.get("args", {}),
        attempts=attempts,
        crashes=stored.get("crashes", 0),
        error=stored.get("error"),
        key=None if key is None else key.removeprefix(f"{task}:"),
        lock=lock,
        request_id=stored.get("request"),
        enqueued_at=datetime.fromtimestamp(stored.get("at", 0.0), UTC),
        due_at=scheduled_at if state is JobState.QUEUED else None,
        finished_at=finished_at if state not in (JobState.QUEUED, JobState.RUNNING) else None,
    )
