"""Looking after jobs: finding, cancelling, retrying, pruning, measuring, and enqueueing by the clock."""

# ruff: noqa: S101 - tests

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastness.jobs import (
    GiveUp,
    Job,
    Jobs,
    JobState,
    Periodic,
    Retention,
)
from fastness.jobs.model import Settlement
from fastness.testing.conformance.jobs._base import TASKS, Base, Script, act, note, unique, wait


class Care(Base):
    """What is done to jobs, apart from running them."""

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

    async def test_many_are_asked_for_at_once(self, jobs: Jobs) -> None:
        """Their states by id; what is not there is left out."""
        assert await self.states(jobs) == {}
        ids = [await self.enqueue(jobs, note, what=str(number)) for number in range(4)]
        async with self.engine(jobs) as engine:
            _, ended, failed = await engine.claim(None, 3)
            await engine.settle([Settlement(claim=ended, state=JobState.SUCCEEDED)])
            await engine.settle([Settlement(claim=failed, state=JobState.FAILED)])
            found = await self.states(jobs, *ids, ids[-1] + 1)
        running, succeeded, failing, queued = ids
        assert found == {
            running: JobState.RUNNING,
            succeeded: JobState.SUCCEEDED,
            failing: JobState.FAILED,
            queued: JobState.QUEUED,
        }

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
