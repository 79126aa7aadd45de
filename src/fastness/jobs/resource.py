"""The jobs of a service: where they are enqueued, looked up and ended. Running them is `worker`'s."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry import trace

from fastness import context
from fastness.database import Database, UnitError, UnitOfWork
from fastness.jobs.model import Engine, Enqueued, Job, JobFilter, JobRecord, JobState, NewJob
from fastness.jobs.periodic import Periodic
from fastness.jobs.task import ArgumentsError, Task

_MAX_KEY = 200
_MAX_NUMBER = 2**31 - 1
LONGEST_DELAY = 10 * 366 * 86_400.0
"""Seconds that a job may wait."""


class Jobs:
    """Durable jobs in the service's own database. A `fastness.lifespan.Resource`.

    A job is enqueued in the caller's transaction: when that is rolled back, there is no job; once it is committed, the job
    is run, at least once.

    Args:
        database: where they are kept: PostgreSQL, in procrastinate's tables, or SQLite, in one of ours. The tables come
            from `fastness.jobs.migrations`.
        tasks: all that can be enqueued or run.
        periodic: what is enqueued by the clock.
        direct_url: of PostgreSQL itself, where `database` goes through PgBouncer, which hides notifications from workers.
        name: names the resource.
        clock: seconds since 1970. PostgreSQL goes by its own.

    Raises:
        ValueError: two tasks have one name, or something periodic is not among the tasks.
    """

    def __init__(
        self,
        database: Database,
        *,
        tasks: Iterable[Task[..., Any]],
        periodic: Iterable[Periodic] = (),
        direct_url: str | None = None,
        name: str = "jobs",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.database = database
        self.clock = clock
        self.tasks: dict[str, Task[..., Any]] = {}
        for task in tasks:
            if self.tasks.setdefault(task.name, task) is not task:
                raise ValueError(f"jobs: two tasks are named {task.name!r}; give one of them another name=")
        self.periodic = tuple(periodic)
        keys = [item.key for item in self.periodic]
        for item in self.periodic:
            if self.tasks.get(item.task.name) is not item.task:
                raise ValueError(f"jobs: the periodic task {item.task.name!r} is not among the tasks")
            if keys.count(item.key) > 1:
                raise ValueError(f"jobs: two periodic items are {item.key!r}; tell them apart by name=")
        self.engine = _engine(database, direct_url, clock)

    async def open(self) -> None:
        """Nothing: the database is another resource, and readiness says whether the tables are there."""

    async def check(self) -> None:
        """Raises when the tables are not there, or are behind what this code needs."""
        await self.engine.check()

    async def close(self) -> None:
        """Nothing to give back."""

    async def enqueue(
        self,
        uow: UnitOfWork,
        task: Task[..., Any],
        *,
        key: str | None = None,
        lock: str | None = None,
        delay: float = 0.0,
        priority: int | None = None,
        queue: str | None = None,
        **arguments: Any,
    ) -> Enqueued:
        """Store a job in the transaction of `uow`, in one round trip.

        Args:
            uow: open, and writing.
            task: what to run.
            key: while a job of this task with this key waits for its first attempt, that one is given instead. It starts
                after this transaction, so it sees what this transaction writes.
            lock: of all jobs of one lock, one runs at a time, in the order in which they were enqueued; one that waits for
                another attempt holds up those behind it.
            delay: seconds until it may start.
            priority: instead of the task's.
            queue: instead of the task's.
            arguments: of the task, by name.

        Raises:
            ArgumentsError: the arguments are not what the task takes.
            ValueError: the task is not among `tasks`, or an option is out of range.
            UnitError: the unit only reads, or is not open.
        """
        new = self.new(task, arguments, key=key, lock=lock, delay=delay, priority=priority, queue=queue)
        return (await self._insert(uow, [new]))[0]

    async def enqueue_many(
        self, uow: UnitOfWork, task: Task[..., Any], arguments: Iterable[Mapping[str, Any]], *, delay: float = 0.0
    ) -> list[Enqueued]:
        """Store one job for each of `arguments`, all in one round trip; what a fan-out needs. See `enqueue`.

        Returns:
            What came of each, in the order of `arguments`.
        """
        return await self._insert(uow, [self.new(task, each, delay=delay) for each in arguments])

    async def get(self, uow: UnitOfWork, job_id: int) -> JobRecord | None:
        """One job, or None when it never was or has been pruned."""
        return await self.engine.get(uow, job_id) if 0 < job_id < 2**63 else None

    async def states(self, uow: UnitOfWork, job_ids: Collection[int]) -> Mapping[int, JobState]:
        """Where jobs stand, by their ids, in one round trip. One that never was, or has been pruned, is left out."""
        return await self.engine.states(uow, job_ids) if job_ids else {}

    async def find(
        self,
        uow: UnitOfWork,
        *,
        state: JobState | None = None,
        queue: str | None = None,
        task: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[JobRecord]:
        """The newest jobs first, those with an id below `before`."""
        return await self.engine.find(uow, JobFilter(state=state, queue=queue, task=task), limit=limit, before=before)

    async def cancel(self, uow: UnitOfWork, job_id: int) -> bool:
        """End a job that waits, and ask one that runs to end. False when it has ended already, or is not there."""
        return await self.engine.cancel(_writing(uow), job_id)

    async def retry(self, uow: UnitOfWork, job_id: int) -> bool:
        """Queue a failed or cancelled job again, now. Its attempts are kept, its crashes forgotten.

        One attempt is made; more follow as far as its policy still has some. False when it has not failed, or is not there.
        """
        return await self.engine.retry(_writing(uow), job_id)

    def new(
        self,
        task: Task[..., Any],
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        lock: str | None = None,
        delay: float = 0.0,
        priority: int | None = None,
        queue: str | None = None,
    ) -> NewJob:
        """A job that is not stored yet. For engines and tests; see `enqueue`."""
        if self.tasks.get(task.name) is not task:
            raise ValueError(
                f"jobs: the task {task.name!r} is not among those given to Jobs(tasks=...): no worker would run it"
            )
        if reserved := task.injected.keys() & arguments.keys():
            raise ArgumentsError(f"{task.name}: {min(reserved)} is given by the worker")
        text = task.dump(arguments)
        options = task.options
        if key is None and options.unique:
            key = hashlib.sha256(text.encode()).hexdigest()
        for what, value in (("key", key), ("lock", lock)):
            if value is not None and (not 0 < len(value) <= _MAX_KEY or "\0" in value):
                raise ValueError(f"jobs: {what} must have 1 to {_MAX_KEY} characters and no NUL; hash what is longer")
        if not 0 <= delay <= LONGEST_DELAY:
            raise ValueError(f"jobs: delay={delay!r} is not a number of seconds from 0 up to ten years")
        priority = options.priority if priority is None else priority
        if abs(priority) > _MAX_NUMBER:
            raise ValueError(f"jobs: priority={priority!r} is out of range")
        queue = options.queue if queue is None else queue
        if not 0 < len(queue) <= 128:
            raise ValueError(f"jobs: queue={queue!r} is empty or longer than 128 characters")
        traceparent, request_id = _origin()
        return NewJob(
            task=task.name,
            queue=queue,
            priority=priority,
            arguments=text,
            key=None if key is None else f"{task.name}:{key}",
            lock=lock,
            delay=delay,
            enqueued_at=self.clock(),
            trace=traceparent,
            request_id=request_id,
        )

    async def _insert(self, uow: UnitOfWork, new: Sequence[NewJob]) -> list[Enqueued]:
        return await self.engine.insert(_writing(uow), new) if new else []


async def once(uow: UnitOfWork, job: Job, effect: str = "") -> bool:
    """Whether the effect is to be made now: True the first time for this job, also across its attempts and workers.

        async with uow:
            if await once(uow, job):
                uow.session.add(...)

    The mark is written in the transaction of `uow`, with the effect itself: either both are committed or neither is.

    Args:
        uow: open, and writing.
        job: the job that is running.
        effect: tells several effects of one job apart.

    Raises:
        JobLost: the job is not this worker's any more. Let it pass: whoever has the job makes the effect.
    """
    if len(effect) > _MAX_KEY:
        raise ValueError(f"once: effect is longer than {_MAX_KEY} characters")
    return await job.engine.mark(_writing(uow), job.claim, effect)


def _writing(uow: UnitOfWork) -> UnitOfWork:
    uow.session  # noqa: B018 - raises when it is not open
    if uow.read_only:
        raise UnitError("a reading unit cannot write: use `async with uow:`")
    return uow


def _engine(database: Database, direct_url: str | None, clock: Callable[[], float]) -> Engine:
    if database.dialect == "sqlite":
        from fastness.jobs.sqlite import SQLiteEngine

        return SQLiteEngine(database, clock=clock)
    from fastness.jobs.postgres import PostgresEngine

    return PostgresEngine(database, direct_url=direct_url)


def _origin() -> tuple[str | None, str | None]:
    """The `traceparent` and the request that a job comes from. https://www.w3.org/TR/trace-context/#traceparent-header"""
    request = context.current()
    span = trace.get_current_span().get_span_context()
    request_id = None if request is None else request.request_id
    if span.is_valid:
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}", request_id
    if request is None:
        return None, None
    span_id = request.span_id or f"{random.getrandbits(64) or 1:016x}"
    return f"00-{request.trace_id}-{span_id}-{'01' if request.sampled else '00'}", request_id
