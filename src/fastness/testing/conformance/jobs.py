"""What jobs must do on every database: the promises of `fastness.jobs`, from the enqueue to the dead letter."""

# ruff: noqa: S101, PT011, PT012, ASYNC110 - tests

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry import trace

from fastness import context
from fastness.context import RequestContext
from fastness.database import UnitError
from fastness.jobs import (
    ONCE,
    ArgumentsError,
    GiveUp,
    Injected,
    Intervals,
    Job,
    JobLost,
    JobRecord,
    Jobs,
    JobState,
    Periodic,
    Retention,
    Retry,
    Schedule,
    Worker,
    once,
    task,
)
from fastness.jobs.model import Claim, Settlement

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


class JobsConformance:
    """Subclass it and override the fixtures `make_jobs` and `pass_time`.

    The database is empty but for the tables of jobs.
    """

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
        options.setdefault("intervals", Intervals(poll=60, beat=600, sample=600, prune=600))
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

    # Enqueue

    async def test_a_committed_job_is_run_with_its_arguments(self, jobs: Jobs, script: Script) -> None:
        """A worker that waits is woken by the commit, and the job ends as succeeded after one attempt."""
        async with self.working(jobs, script):
            job_id = await self.enqueue(jobs, note, what="hello")
            await script.until(1)
            found = await self.ended(jobs, job_id)
        assert script.seen == ["hello"]
        assert (found.state, found.attempts, found.crashes, found.error) == (JobState.SUCCEEDED, 1, 0, None)
        assert found.finished_at is not None
        assert found.arguments == {"what": "hello"}

    async def test_a_rollback_leaves_no_job(self, jobs: Jobs, script: Script) -> None:
        """The job shares the fate of the transaction: there is nothing to run, and the next job does."""
        with pytest.raises(KeyError):
            async with jobs.database.unit() as uow:
                await jobs.enqueue(uow, note, what="never")
                raise KeyError
        async with jobs.database.unit() as uow:
            async with uow.savepoint():
                await jobs.enqueue(uow, note, what="kept")
            with pytest.raises(KeyError):
                async with uow.savepoint():
                    await jobs.enqueue(uow, note, what="undone")
                    raise KeyError
        assert await self.count(jobs) == 1
        async with self.working(jobs, script):
            assert await script.until(1) == ["kept"]

    async def test_a_fan_out_is_one_call(self, jobs: Jobs, script: Script) -> None:
        """Many jobs of one task are stored together, and each is run once."""
        async with jobs.database.unit() as uow:
            made = await jobs.enqueue_many(uow, note, [{"what": str(number)} for number in range(25)])
            assert await jobs.enqueue_many(uow, note, []) == []
        assert len({each.id for each in made}) == 25
        async with self.working(jobs, script, concurrency=4):
            await script.until(25)
        assert sorted(script.seen, key=int) == [str(number) for number in range(25)]

    async def test_what_cannot_be_run_is_refused_at_once(self, jobs: Jobs) -> None:
        """Wrong arguments, tasks that nobody runs, and units that only read raise where they are used."""
        stranger = task(name="stranger")(note.function)
        async with jobs.database.unit() as uow:
            for wrong in ({}, {"what": 1}, {"what": "a", "more": 1}, {"what": "a", "script": Script()}, {"what": "\0"}):
                with pytest.raises(ArgumentsError):
                    await jobs.enqueue(uow, note, **wrong)
            with pytest.raises(ArgumentsError, match="larger"):
                await jobs.enqueue(uow, note, what="a" * 70_000)
            with pytest.raises(ValueError, match="stranger"):
                await jobs.enqueue(uow, stranger, what="a")
            wrong_options: list[dict[str, Any]] = [
                *({"delay": delay} for delay in (-1, float("nan"), 1e12)),
                {"key": ""},
                {"lock": "a" * 300},
                {"priority": 2**40},
                {"queue": ""},
            ]
            for options in wrong_options:
                with pytest.raises(ValueError):
                    await jobs.enqueue(uow, note, what="a", **options)
        with pytest.raises(UnitError):
            await jobs.enqueue(uow, note, what="a")
        with pytest.raises(UnitError):
            async with jobs.database.unit().reading() as reading:
                await jobs.enqueue(reading, note, what="a")
        assert await self.count(jobs) == 0

    async def test_arguments_survive_storage(self, jobs: Jobs, script: Script) -> None:
        """Text of every kind arrives as it was sent."""
        text = 'quotes "\' back\\slash, {"a": 1} %s %(b)s :c ? \u2028 \U0001f600 ' + "é" * 100
        await self.enqueue(jobs, note, what=text)
        async with self.working(jobs, script):
            assert await script.until(1) == [text]

    async def test_a_job_waits_for_its_time(self, jobs: Jobs, pass_time: Callable[[float], Awaitable[None]]) -> None:
        """A delayed job is not given to a worker before, and is after."""
        job_id = await self.enqueue(jobs, note, what="later", delay=3600)
        async with self.engine(jobs) as engine:
            assert await engine.claim(None, 10) == []
            assert 0 < await engine.due_in(None) <= 3600
            assert (await self.get(jobs, job_id)).due_at is not None
            await pass_time(3601)
            assert await engine.due_in(None) == 0
            assert [claim.id for claim in await engine.claim(None, 10)] == [job_id]

    async def test_higher_priority_goes_first(self, jobs: Jobs) -> None:
        """Of jobs that could start, the one of highest priority starts; of equal ones, the oldest."""
        ids = [await self.enqueue(jobs, note, what="a", priority=priority) for priority in (0, 5, 0, 5)]
        async with self.engine(jobs) as engine:
            order = [(await engine.claim(None, 1))[0].id for _ in ids]
        assert order == [ids[1], ids[3], ids[0], ids[2]]

    async def test_a_worker_takes_from_its_queues(self, jobs: Jobs) -> None:
        """Other queues are left to other workers."""
        await self.enqueue(jobs, note, what="a")
        other = await self.enqueue(jobs, unique, number=1)
        async with self.engine(jobs) as engine:
            assert await engine.due_in(["none"]) is None
            assert [claim.id for claim in await engine.claim(["other", "none"], 5)] == [other]

    # Keys and locks

    async def test_one_job_of_a_key_waits(self, jobs: Jobs) -> None:
        """Another of the same task and key gives the one that waits; once that has started, there may be another."""
        async with jobs.database.unit() as uow:
            first = await jobs.enqueue(uow, note, what="a", key="k")
            second = await jobs.enqueue(uow, note, what="b", key="k")
            stranger = await jobs.enqueue(uow, act, key="k")
        assert (first.created, second.created, second.id) == (True, False, first.id)
        assert stranger.created
        async with jobs.database.unit() as uow:
            assert not (await jobs.enqueue(uow, note, what="c", key="k")).created
        async with self.engine(jobs) as engine:
            assert [claim.id for claim in await engine.claim(None, 1)] == [first.id]
            async with jobs.database.unit() as uow:
                third = await jobs.enqueue(uow, note, what="d", key="k")
        assert third.created
        assert (await self.get(jobs, third.id)).key == "k"

    async def test_a_job_that_stands_for_another_starts_after_its_reason(self, jobs: Jobs) -> None:
        """As long as the second transaction is open, the job that it relies on is not given to a worker."""
        job_id = await self.enqueue(jobs, note, what="a", key="k")
        looked: list[Claim] = []
        async with self.engine(jobs) as engine:
            async with jobs.database.unit() as uow:
                assert not (await jobs.enqueue(uow, note, what="b", key="k")).created
                look = asyncio.create_task(engine.claim(None, 1))
                await asyncio.wait({look}, timeout=0.2)
                looked += look.result() if look.done() else []
                assert looked == []
            looked += await look
            looked += await engine.claim(None, 1)
        assert [claim.id for claim in looked] == [job_id]

    async def test_one_key_from_many_at_once(self, jobs: Jobs) -> None:
        """Ten that enqueue the same at the same moment make one job."""
        made = await asyncio.gather(*(self.enqueue(jobs, note, what="a", key="k") for _ in range(10)))
        assert len(set(made)) == 1
        async with jobs.database.unit() as uow:
            many = await jobs.enqueue_many(uow, unique, [{"number": number} for number in (1, 2, 1)])
        assert [each.created for each in many] == [True, True, False]
        assert many[0].id == many[2].id

    async def test_a_job_that_failed_lets_go_of_its_key(self, jobs: Jobs) -> None:
        """What waits for another attempt does not swallow new jobs, and never stands in the way of another's attempt."""
        ids = []
        async with self.engine(jobs) as engine:
            for _ in range(2):
                ids.append(await self.enqueue(jobs, note, what="a", key="k"))
                (claim,) = await engine.claim(None, 1)
                assert await engine.settle([Settlement(claim=claim, state=JobState.QUEUED, delay=60)]) == {claim.id}
        assert len(set(ids)) == 2
        assert await self.count(jobs, state=JobState.QUEUED) == 2

    async def test_jobs_of_one_lock_run_one_after_another(self, jobs: Jobs) -> None:
        """In the order in which they were enqueued, however many are asked for."""
        ids = [await self.enqueue(jobs, note, what="a", lock="l") for _ in range(3)]
        free = await self.enqueue(jobs, note, what="b")
        async with self.engine(jobs) as engine:
            first = await engine.claim(None, 10)
            assert {claim.id for claim in first} == {ids[0], free}
            assert await engine.claim(None, 10) == []
            await engine.settle([Settlement(claim=claim, state=JobState.SUCCEEDED) for claim in first])
            assert [claim.id for claim in await engine.claim(None, 10)] == [ids[1]]

    # Attempts

    async def test_a_failed_attempt_is_followed_by_others_until_the_policy_ends(
        self, jobs: Jobs, script: Script, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        """Three attempts, the schedule's waits between them, and then a dead letter with the last error."""

        async def fail(job: Job) -> None:
            script.note(job.attempt)
            raise ValueError(f"attempt {job.attempt} with password=hunter2")

        script.do = fail
        job_id = await self.enqueue(jobs, act)
        found = await self.get(jobs, job_id)
        for attempt in (1, 2, 3):
            async with self.working(jobs, script):
                await script.until(attempt)
            found = await self.get(jobs, job_id)
            assert found.attempts == attempt
            assert found.error == f"ValueError: attempt {attempt} with password=***"
            if attempt < 3:
                assert found.state is JobState.QUEUED
                await pass_time(31)
        assert (found.state, script.seen) == (JobState.FAILED, [1, 2, 3])

    async def test_a_task_can_ask_for_another_attempt_and_give_up(self, jobs: Jobs, script: Script) -> None:
        """`Retry` says when, within the policy; `GiveUp` ends it at once."""

        async def decide(job: Job) -> None:
            script.note(job.attempt)
            if job.attempt == 1:
                raise Retry("not yet", after=0)
            raise GiveUp("gone")

        script.do = decide
        job_id = await self.enqueue(jobs, act)
        async with self.working(jobs, script):
            found = await self.ended(jobs, job_id)
        assert (found.state, found.attempts, found.error, script.seen) == (JobState.FAILED, 2, "gone", [1, 2])

    async def test_an_attempt_has_a_time_limit(self, jobs: Jobs, script: Script) -> None:
        """It is cancelled then, and counts as failed."""
        job_id = await self.enqueue(jobs, impatient)
        async with self.working(jobs, script):
            found = await self.ended(jobs, job_id)
        assert (found.state, found.error) == (JobState.FAILED, "timed out after 0.05 s")

    async def test_a_task_that_is_not_known_here_is_left_to_others(
        self, jobs: Jobs, make_jobs: Callable[..., Jobs], script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A worker of another version puts the job back, for some time later."""
        stranger = task(name="stranger")(note.function)
        job_id = await self.enqueue(make_jobs(tasks=[stranger]), stranger, what="a")
        with caplog.at_level(logging.CRITICAL, "fastness.jobs"):
            async with self.working(jobs, script):
                async with asyncio.timeout(TIME_LIMIT):
                    while (found := await self.get(jobs, job_id)).attempts == 0:
                        await asyncio.sleep(0.02)
        assert found.state is JobState.QUEUED
        assert found.error == "no task is named 'stranger' here"

    # Exactly once

    async def test_an_effect_happens_once_over_all_attempts(self, jobs: Jobs, script: Script) -> None:
        """Also when the attempt that made it fails afterwards; effects of other names are their own."""

        async def pay(job: Job) -> None:
            async with jobs.database.unit() as uow:
                first = await once(uow, job)
                assert await once(uow, job) is False
                script.note((first, await once(uow, job, f"attempt {job.attempt}")))
            if job.attempt < 3:
                raise Retry(after=0)

        script.do = pay
        job_id = await self.enqueue(jobs, act)
        async with self.working(jobs, script):
            found = await self.ended(jobs, job_id)
        assert found.state is JobState.SUCCEEDED
        assert script.seen == [(True, True), (False, True), (False, True)]

    async def test_an_effect_that_is_rolled_back_was_not_made(self, jobs: Jobs, script: Script) -> None:
        """The mark goes with the transaction."""

        async def pay(job: Job) -> None:
            async with jobs.database.unit() as uow:
                script.note(await once(uow, job))
                if job.attempt == 1:
                    uow.discard()
            if job.attempt == 1:
                raise Retry(after=0)

        script.do = pay
        job_id = await self.enqueue(jobs, act)
        async with self.working(jobs, script):
            await self.ended(jobs, job_id)
        assert script.seen == [True, True]

    async def test_a_worker_that_lost_its_job_changes_nothing(self, jobs: Jobs) -> None:
        """Neither effects nor results of an attempt count once the job was settled otherwise."""
        job_id = await self.enqueue(jobs, act)
        async with self.engine(jobs) as engine:
            (old,) = await engine.claim(None, 1)
            await engine.settle([Settlement(claim=old, state=JobState.QUEUED)])
            (new,) = await engine.claim(None, 1)
            job = Job(old.id, old.task, old.queue, 1, (await self.get(jobs, job_id)).enqueued_at, old, engine)
            with pytest.raises(JobLost):
                async with jobs.database.unit() as uow:
                    await once(uow, job)
            assert await engine.settle([Settlement(claim=old, state=JobState.FAILED)]) == set()
            assert await engine.to_cancel([old]) == {job_id}
            assert await engine.to_cancel([new]) == set()
            assert await engine.settle([Settlement(claim=new, state=JobState.SUCCEEDED)]) == {job_id}
        assert (await self.get(jobs, job_id)).attempts == 2

    # Looking after jobs

    async def test_a_waiting_job_is_cancelled_at_once(self, jobs: Jobs, script: Script) -> None:
        """It does not run, and cancelling it again says that it has ended; a rollback undoes it."""
        job_id = await self.enqueue(jobs, note, what="never")
        async with jobs.database.unit() as uow:
            assert await jobs.cancel(uow, job_id)
            uow.discard()
        assert (await self.get(jobs, job_id)).state is JobState.QUEUED
        async with jobs.database.unit() as uow:
            assert await jobs.cancel(uow, job_id)
            assert not await jobs.cancel(uow, job_id)
            assert not await jobs.cancel(uow, job_id + 1)
        async with self.working(jobs, script):
            await self.enqueue(jobs, note, what="other")
            assert await script.until(1) == ["other"]
        assert (await self.get(jobs, job_id)).state is JobState.CANCELLED

    async def test_a_running_job_is_cancelled(self, jobs: Jobs, script: Script) -> None:
        """Its task is cancelled, without waiting for the worker's next look."""
        job_id = await self.enqueue(jobs, wait, what="a")
        async with self.working(jobs, script):
            await script.until(1)
            async with jobs.database.unit() as uow:
                assert await jobs.cancel(uow, job_id)
            found = await self.ended(jobs, job_id)
        assert (found.state, found.attempts) == (JobState.CANCELLED, 1)

    async def test_a_failed_job_can_be_retried(self, jobs: Jobs, script: Script) -> None:
        """By hand, in a transaction; its attempts go on counting, and only failed and cancelled jobs can be."""

        async def fail_twice(job: Job) -> None:
            if job.attempt < 3:
                raise GiveUp("no")

        script.do = fail_twice
        async with self.working(jobs, script):
            job_id = await self.enqueue(jobs, act)
            for attempt in (1, 2):
                found = await self.ended(jobs, job_id)
                assert (found.state, found.attempts) == (JobState.FAILED, attempt)
                async with jobs.database.unit() as uow:
                    assert await jobs.retry(uow, job_id)
                    assert not await jobs.retry(uow, job_id)
            found = await self.ended(jobs, job_id)
            async with jobs.database.unit() as uow:
                assert not await jobs.retry(uow, job_id)
        assert (found.state, found.attempts) == (JobState.SUCCEEDED, 3)

    async def test_jobs_are_found(self, jobs: Jobs) -> None:
        """The newest first, by state, queue and task, page by page."""
        ids = [await self.enqueue(jobs, note, what=str(number)) for number in range(3)]
        other = await self.enqueue(jobs, unique, number=1)
        async with jobs.database.unit().reading() as uow:
            assert [job.id for job in await jobs.find(uow)] == [other, *reversed(ids)]
            assert [job.id for job in await jobs.find(uow, limit=2, before=other)] == [ids[2], ids[1]]
            assert [job.id for job in await jobs.find(uow, queue="other")] == [other]
            assert [job.id for job in await jobs.find(uow, task="note", limit=1)] == [ids[2]]
            assert await jobs.find(uow, state=JobState.FAILED) == []
            assert await jobs.get(uow, other + 1) is None

    async def test_ended_jobs_are_deleted_after_their_time(
        self, jobs: Jobs, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        """Each state has its own; what has not ended stays, and a batch has an end."""
        ids = {}
        async with self.engine(jobs) as engine:
            for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.QUEUED):
                ids[state] = await self.enqueue(jobs, note, what="a")
                (claim,) = await engine.claim(None, 1)
                await engine.settle([Settlement(claim=claim, state=state, delay=10**6)])
            ids[JobState.CANCELLED] = await self.enqueue(jobs, note, what="a")
            async with jobs.database.unit() as uow:
                await jobs.cancel(uow, ids[JobState.CANCELLED])
            retention = Retention(succeeded=100, cancelled=100, failed=1000)
            assert await engine.prune(retention, 10) == 0
            await pass_time(500)
            assert await engine.prune(retention, 1) == 1
            assert await engine.prune(retention, 10) == 1
            await pass_time(600)
            assert await engine.prune(retention, 10) == 1
        async with jobs.database.unit().reading() as uow:
            assert [job.id for job in await jobs.find(uow)] == [ids[JobState.QUEUED]]

    async def test_the_queues_are_measured(self, jobs: Jobs, pass_time: Callable[[float], Awaitable[None]]) -> None:
        """Waiting, scheduled, running and failed jobs by queue, and the age of the oldest that waits."""
        async with self.engine(jobs) as engine:
            assert list(await engine.sample()) == []
            for state in (JobState.FAILED, None):
                await self.enqueue(jobs, note, what="a")
                (claim,) = await engine.claim(None, 1)
                if state is not None:
                    await engine.settle([Settlement(claim=claim, state=state)])
            await self.enqueue(jobs, note, what="a", delay=10)
            await pass_time(70)
            await self.enqueue(jobs, note, what="a", delay=3600)
            await self.enqueue(jobs, unique, number=1)
            default, other = await engine.sample()
        assert (default.queue, default.waiting, default.scheduled, default.running, default.failed) == ("default", 1, 1, 1, 1)
        assert (other.queue, other.waiting, other.scheduled, other.running, other.failed) == ("other", 1, 0, 0, 0)
        assert default.oldest >= 60 > other.oldest >= 0

    # Periodic

    async def test_a_periodic_job_is_stored_once_for_each_time(self, make_jobs: Callable[..., Jobs]) -> None:
        """However often and from wherever it is tried; a time that has passed is not made up for after a later one."""
        jobs = make_jobs(tasks=TASKS, periodic=[Periodic(task=note, every=60, arguments={"what": "tick"})])
        new = jobs.new(note, {"what": "tick"}, key="periodic", lock="periodic")
        async with self.engine(jobs) as engine:
            results = await asyncio.gather(*(engine.tick("p", 120, new) for _ in range(5)))
            assert sorted(results) == [False] * 4 + [True]
            assert not await engine.tick("p", 180, new)  # the one before has not begun
            (claim,) = await engine.claim(None, 5)
            assert claim.task == "note"
            assert await engine.tick("p", 240, new)
            assert await engine.claim(None, 5) == []  # they do not overlap
            await engine.settle([Settlement(claim=claim, state=JobState.SUCCEEDED)])
            assert len(await engine.claim(None, 5)) == 1
        assert await self.count(jobs) == 2

    async def test_a_worker_enqueues_what_is_periodic(self, make_jobs: Callable[..., Jobs], script: Script) -> None:
        """The time that has just passed is caught up with."""
        jobs = make_jobs(tasks=TASKS, periodic=[Periodic(task=note, every=1, arguments={"what": "tick"})])
        async with self.working(jobs, script):
            assert (await script.until(1))[0] == "tick"

    # Ends

    async def test_closing_waits_for_running_jobs(self, jobs: Jobs, script: Script) -> None:
        """Within the grace, a job ends as it would have, and no other begins."""
        first = await self.enqueue(jobs, wait, what="first")
        async with self.working(jobs, script, concurrency=1) as worker:
            await script.until(1)
            second = await self.enqueue(jobs, note, what="second")
            closing = asyncio.create_task(worker.close())
            await asyncio.sleep(0)
            script.gate.set()
            await closing
            worker.close = _nothing  # type: ignore[method-assign]
        assert (await self.get(jobs, first)).state is JobState.SUCCEEDED
        assert (await self.get(jobs, second)).state is JobState.QUEUED

    async def test_closing_hands_back_what_does_not_end(self, jobs: Jobs, script: Script) -> None:
        """After the grace the job is queued again at once, with its attempt counted, and another worker runs it."""
        job_id = await self.enqueue(jobs, wait, what="a")
        async with self.working(jobs, script, grace=0) as worker:
            await script.until(1)
            await worker.close()
            worker.close = _nothing  # type: ignore[method-assign]
        script.gate.clear()
        found = await self.get(jobs, job_id)
        assert (found.state, found.attempts, found.crashes) == (JobState.QUEUED, 1, 0)
        async with self.working(jobs, script):
            await script.until(2)
            script.gate.set()
            assert (await self.ended(jobs, job_id)).attempts == 2

    # Where it comes from

    async def test_a_job_carries_the_request_and_the_trace_that_it_comes_from(self, jobs: Jobs, script: Script) -> None:
        """The task sees the request's id, its trace id and a deadline of its own; a job without a request has neither."""
        request = RequestContext("request-7", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=False)

        async def look(_: Job) -> None:
            current = context.current()
            assert current is not None
            assert current.remaining() is not None
            script.note((current.request_id, current.trace_id, trace.get_current_span().get_span_context().trace_id))

        script.do = look
        token = context._current.set(request)
        try:
            job_id = await self.enqueue(jobs, act)
        finally:
            context._current.reset(token)
        async with self.working(jobs, script):
            await script.until(1)
        assert script.seen == [("request-7", request.trace_id, int(request.trace_id, 16))]
        assert (await self.get(jobs, job_id)).request_id == "request-7"


async def _nothing() -> None:
    pass
