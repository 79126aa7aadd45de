"""The worker's loop at moments that no timing of a test brings about: its engine is told what to do."""

import asyncio

import pytest

from fastness.database import Database
from fastness.jobs import Jobs, JobState, Worker, task
from fastness.jobs.model import Claim


@task(name="wait")
async def wait() -> None:
    """Wait to be interrupted."""
    await asyncio.Event().wait()


def make_claim(job_id: int) -> Claim:
    return Claim(
        id=job_id,
        task="wait",
        queue="default",
        attempts=0,
        worker=1,
        arguments="{}",
        enqueued_at=0.0,
        trace=None,
        request_id=None,
    )


@pytest.fixture
async def worker(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield Worker(Jobs(database, tasks=[wait]))
    await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize(("reason", "state"), [("stop", JobState.QUEUED), ("cancel", JobState.CANCELLED)])
@pytest.mark.parametrize("turns", range(4))
async def test_a_job_is_settled_whenever_it_is_interrupted(worker, reason, state, turns) -> None:
    """Also before its task has taken its first step, which then it never takes."""
    worker._start(make_claim(1))
    (running,) = worker._running.values()
    for _ in range(turns):
        await asyncio.sleep(0)
    worker._interrupt(running, reason)
    _, settlement = await asyncio.wait_for(worker._settlements.get(), 10)
    assert (settlement.claim.id, settlement.state) == (1, state)
    assert worker._settlements.empty()
