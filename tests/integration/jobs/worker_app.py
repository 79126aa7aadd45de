"""A service's worker, as `fastness worker tests...:resources` runs it. What it does is told by the jobs."""

import asyncio
import os
import signal

from fastness.database import Database, PoolSize
from fastness.jobs import ONCE, Intervals, Job, Jobs, Worker, task
from fastness.lifespan import Resources


def say(line: str) -> None:
    """One line in one write."""
    os.write(1, f"{line}\n".encode())


@task(name="die", retry=ONCE)
async def die(job: Job) -> None:
    """End the process as the kernel does when memory is short."""
    say(f"dying {job.id}")
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="stay", retry=ONCE, timeout=3600)
async def stay(job: Job) -> None:
    """Never end."""
    say(f"staying {job.id}")
    await asyncio.Event().wait()


@task(name="greet", retry=ONCE)
async def greet(name: str) -> None:
    """Say it."""
    say(f"hello {name}")


def jobs(url: str) -> Jobs:
    """The jobs, for whoever enqueues."""
    return Jobs(Database(url, pool=PoolSize(wait=30)), tasks=[die, stay, greet])


def resources() -> Resources:
    """What the worker holds. It looks for itself once in ten minutes: what happens sooner was told to it."""
    made = jobs(os.environ["TEST_DATABASE_URL"])
    worker = Worker(
        made,
        grace=float(os.environ.get("TEST_GRACE", "0")),
        intervals=Intervals(poll=600, beat=0.1, dead_after=20, sample=0.1),
    )
    return Resources([made.database, made, worker], close_timeout=900, open_timeout=60)
