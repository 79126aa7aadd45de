"""What the parts of the suite stand on: tasks that do what a test says, and a worker that runs them."""

# ruff: noqa: S101, ASYNC110 - tests

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastness.jobs import (
    ONCE,
    Injected,
    Intervals,
    Job,
    JobRecord,
    Jobs,
    JobState,
    Schedule,
    Worker,
    task,
)

TIME_LIMIT = 60.0
"""Seconds until a test gives up: no promise, only an end for what would never end."""


class Script:
    """What the suite's tasks do, and what they saw. One for each test.

    Attributes:
        seen: what was noted, in order.
        changed: set whenever something was.
        gate: what waits for it goes on when it is set.
    """

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.changed = asyncio.Event()
        self.gate = asyncio.Event()
        self.do: Callable[[Job], Awaitable[None]] | None = None

    def note(self, what: Any) -> None:
        """Remember it."""
        self.seen.append(what)
        self.changed.set()

    async def until(self, count: int) -> list[Any]:
        """What was seen, once it is that many."""
        async with asyncio.timeout(TIME_LIMIT):
            while len(self.seen) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.seen


@task(name="note", retry=ONCE)
async def note(what: str, *, script: Injected[Script]) -> None:
    """Note it."""
    script.note(what)


@task(name="act", retry=Schedule((30, 30), jitter=0))
async def act(job: Job, script: Injected[Script]) -> None:
    """Do what the test says."""
    if script.do is not None:
        await script.do(job)


@task(name="act-once", retry=ONCE)
async def act_once(job: Job, script: Injected[Script]) -> None:
    """The same, without another attempt."""
    if script.do is not None:
        await script.do(job)


@task(name="wait", retry=ONCE, timeout=600)
async def wait(what: str, script: Injected[Script]) -> None:
    """Note it, and wait for the gate."""
    script.note(what)
    await script.gate.wait()


@task(name="impatient", retry=ONCE, timeout=0.05)
async def impatient() -> None:
    """Take longer than it may."""
    await asyncio.Event().wait()


@task(name="unique", unique=True, queue="other")
async def unique(number: int, text: str = "", *, script: Injected[Script]) -> None:
    """One of the same arguments waits."""
    script.note((number, text))


TASKS = (note, act, act_once, wait, impatient, unique)


class Base:
    """What the parts of the suite share."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def make_jobs(self) -> Callable[..., Jobs]:
        """Override it: a function from the arguments of `Jobs`, beside the database, to one. Each has an engine of its own."""
        raise NotImplementedError("override the fixture make_jobs")

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[None]]:
        """Override it: a function that lets that many seconds pass for jobs that wait and jobs that have ended."""
        raise NotImplementedError("override the fixture pass_time")

    @pytest.fixture
    def script(self) -> Script:
        """What the tasks do."""
        return Script()

    @pytest.fixture
    def jobs(self, make_jobs: Callable[..., Jobs]) -> Jobs:
        """With the tasks of the suite."""
        return make_jobs(tasks=TASKS)

    @asynccontextmanager
    async def working(self, jobs: Jobs, script: Script, **options: Any) -> AsyncIterator[Worker]:
        """A worker that is at work, and looks for itself only once a minute: what wakes it must be told to it."""
        options.setdefault("intervals", Intervals(poll=60, beat=600, dead_after=6000, sample=600, prune=600))
        options.setdefault("grace", TIME_LIMIT)
        worker = Worker(jobs, provide={Script: script}, **options)
        await worker.open()
        try:
            async with asyncio.timeout(TIME_LIMIT):
                while True:  # its first look has been taken
                    try:
                        await worker.check()
                    except Exception:  # noqa: BLE001
                        await asyncio.sleep(0.01)
                    else:
                        break
            yield worker
        finally:
            script.gate.set()
            await worker.close()

    async def enqueue(self, jobs: Jobs, *args: Any, **options: Any) -> int:
        """In a unit of its own; the id."""
        async with jobs.database.unit() as uow:
            return (await jobs.enqueue(uow, *args, **options)).id

    async def get(self, jobs: Jobs, job_id: int) -> JobRecord:
        """As it is stored."""
        async with jobs.database.unit().reading() as uow:
            found = await jobs.get(uow, job_id)
        assert found is not None
        return found

    async def states(self, jobs: Jobs, *ids: int) -> Mapping[int, JobState]:
        """Where they stand."""
        async with jobs.database.unit().reading() as uow:
            return await jobs.states(uow, ids)

    async def ended(self, jobs: Jobs, job_id: int, *states: JobState) -> JobRecord:
        """The job, once it is in one of the states."""
        wanted = states or (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
        async with asyncio.timeout(TIME_LIMIT):
            while (found := await self.get(jobs, job_id)).state not in wanted:
                await asyncio.sleep(0.02)
        return found

    async def count(self, jobs: Jobs, **where: Any) -> int:
        """How many there are."""
        async with jobs.database.unit().reading() as uow:
            return len(await jobs.find(uow, **where, limit=1000))

    @asynccontextmanager
    async def engine(self, jobs: Jobs) -> AsyncIterator[Any]:
        """The worker's side of the engine, without a worker's loop."""
        await jobs.engine.start(lambda: None, lambda: None)
        try:
            yield jobs.engine
        finally:
            await jobs.engine.stop()
