"""Jobs on their way to a worker: transactions, arguments, times, priorities, keys and locks."""

# ruff: noqa: S101, PT011, PT012 - tests

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fastness.database import UnitError
from fastness.jobs import (
    ArgumentsError,
    Jobs,
    JobState,
    task,
)
from fastness.jobs.model import Claim, Settlement
from fastness.testing.conformance.jobs._base import Base, Script, act, note, unique, wait


class Queueing(Base):
    """What is enqueued, and what a worker is given."""

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
        assert [(await self.get(jobs, each.id)).arguments["what"] for each in made] == [str(number) for number in range(25)]
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

    async def test_a_job_that_a_lock_held_up_follows_at_once(self, jobs: Jobs, script: Script) -> None:
        """A worker need not look again by itself when the job that was in the way has ended."""
        async with self.working(jobs, script):
            await self.enqueue(jobs, wait, what="first", lock="l")
            await script.until(1)
            await self.enqueue(jobs, wait, what="second", lock="l")
            await asyncio.sleep(0.2)  # it looks, and finds that it must wait
            script.gate.set()
            assert await script.until(2) == ["first", "second"]

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
