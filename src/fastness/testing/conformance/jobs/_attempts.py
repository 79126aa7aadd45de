"""Attempts: how they end, what follows, and effects that happen once."""

# ruff: noqa: S101, ASYNC110 - tests

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry import trace

from fastness import context
from fastness.context import RequestContext
from fastness.jobs import (
    GiveUp,
    Job,
    JobLost,
    Jobs,
    JobState,
    Retry,
    once,
    task,
)
from fastness.jobs.model import Settlement
from fastness.testing.conformance.jobs._base import TASKS, TIME_LIMIT, Base, Script, act, act_once, impatient, note, wait


async def _fail() -> None:
    raise ValueError


async def _ask_for_ever(_: Job) -> None:
    raise Retry(after=1e300)


class Attempts(Base):
    """What becomes of a job that is run."""

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

    async def test_attempts_of_workers_that_do_not_know_the_task_count_apart(
        self, jobs: Jobs, make_jobs: Callable[..., Jobs], script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A job that has had many attempts meets a worker from before its update, and goes on; not for ever."""
        stranger = task(name="stranger")(note.function)
        job_id = await self.enqueue(make_jobs(tasks=[stranger]), stranger, what="a")

        async def attempt(**how: Any) -> None:
            (claim,) = await engine.claim(None, 1)
            await engine.settle([Settlement(claim=claim, state=JobState.QUEUED, **how)])

        async with self.engine(jobs) as engine:
            for _ in range(20):
                await attempt()
        with caplog.at_level(logging.CRITICAL, "fastness.jobs"):
            async with self.working(jobs, script):
                async with asyncio.timeout(TIME_LIMIT):
                    while (found := await self.get(jobs, job_id)).attempts == 20:
                        await asyncio.sleep(0.02)
            assert found.state is JobState.QUEUED
            async with jobs.database.unit() as uow:
                assert await jobs.cancel(uow, job_id)
                assert await jobs.retry(uow, job_id)
            async with self.engine(jobs) as engine:
                for strange in range(1, 8):
                    await attempt(strange=strange)
            async with self.working(jobs, script):
                found = await self.ended(jobs, job_id)
        assert (found.state, found.attempts) == (JobState.FAILED, 29)

    @pytest.mark.parametrize("how", ["stray", "own", "lost"])
    async def test_a_task_that_ends_as_if_it_were_interrupted_has_failed(self, jobs: Jobs, script: Script, how: str) -> None:
        """Nobody has interrupted it, and it has its job. Handed back as such a job is, it would run again at once, for ever."""

        async def end(job: Job) -> None:
            script.note(job.attempt)
            if how == "lost":
                raise JobLost
            if how == "stray":
                raise asyncio.CancelledError
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
            await asyncio.sleep(0)

        script.do = end
        first, second = await self.enqueue(jobs, act_once), await self.enqueue(jobs, act)
        async with self.working(jobs, script):
            assert (await self.ended(jobs, first)).state is JobState.FAILED
            async with asyncio.timeout(TIME_LIMIT):
                while (found := await self.get(jobs, second)).attempts == 0:
                    await asyncio.sleep(0.02)
        assert (found.state, found.attempts, found.due_at is not None) == (JobState.QUEUED, 1, True)
        assert script.seen == [1, 1]

    async def test_a_wait_without_end_is_bounded(
        self, make_jobs: Callable[..., Jobs], script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What asks to come back in a billion years, or after no number at all, holds up no other job."""
        script.do = _ask_for_ever

        class Odd:
            attempts = 5

            def delay(self, attempt: int, random: object = None) -> float:  # noqa: ARG002 - the signature of `RetryPolicy`
                return float("nan") if attempt == 1 else -float("inf")

        odd = task(name="odd", retry=Odd())(_fail)
        jobs = make_jobs(tasks=[*TASKS, odd])
        patient, hasty = await self.enqueue(jobs, act), await self.enqueue(jobs, odd)
        with caplog.at_level(logging.CRITICAL, "fastness.jobs"):
            async with self.working(jobs, script):
                assert (await self.ended(jobs, hasty)).attempts == 5
                await self.ended(jobs, await self.enqueue(jobs, note, what="a"))
                async with asyncio.timeout(TIME_LIMIT):
                    while (found := await self.get(jobs, patient)).attempts == 0:
                        await asyncio.sleep(0.02)
        assert found.state is JobState.QUEUED
        assert found.due_at is not None

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
        assert (await self.get(jobs, first)).state is JobState.SUCCEEDED
        assert (await self.get(jobs, second)).state is JobState.QUEUED

    async def test_closing_hands_back_what_does_not_end(self, jobs: Jobs, script: Script) -> None:
        """After the grace the job is queued again at once, with its attempt counted, and another worker runs it."""
        job_id = await self.enqueue(jobs, wait, what="a")
        async with self.working(jobs, script, grace=0) as worker:
            await script.until(1)
            await worker.close()
        script.gate.clear()
        found = await self.get(jobs, job_id)
        assert (found.state, found.attempts, found.crashes) == (JobState.QUEUED, 1, 0)
        async with self.working(jobs, script):
            await script.until(2)
            script.gate.set()
            assert (await self.ended(jobs, job_id)).attempts == 2

    async def test_an_interruption_that_ends_in_an_error_is_one(self, jobs: Jobs, script: Script) -> None:
        """Cleaning up may fail, and libraries have errors of their own for it: the job is handed back, and has not failed."""

        async def clean_up(job: Job) -> None:
            script.note(job.attempt)
            try:
                await asyncio.Event().wait()
            finally:
                raise ConnectionError

        script.do = clean_up
        job_id = await self.enqueue(jobs, act_once)
        async with self.working(jobs, script, grace=0):
            await script.until(1)
        assert (await self.get(jobs, job_id)).state is JobState.QUEUED

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
        with context.within(request):
            job_id = await self.enqueue(jobs, act)
        async with self.working(jobs, script):
            await script.until(1)
        assert script.seen == [("request-7", request.trace_id, int(request.trace_id, 16))]
        assert (await self.get(jobs, job_id)).request_id == "request-7"
