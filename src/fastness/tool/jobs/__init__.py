"""`fastness jobs`: looks at the jobs of the service in this directory, retries and cancels them. Running them is `worker`'s."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from fastness.database import UNAVAILABLE, UnitOfWork
from fastness.jobs import JobError, JobRecord, Jobs, JobState
from fastness.tool.errors import FAILED, OK, CommandError
from fastness.tool.jobs.target import load

T = TypeVar("T")

STATES = tuple(state.value for state in JobState)


def show_many(
    target: str | None, *, state: str | None, queue: str | None, task: str | None, limit: int, before: int | None, as_json: bool
) -> int:
    """Print the newest jobs."""
    wanted = None if state is None else JobState(state)
    found = _run(target, lambda jobs, uow: jobs.find(uow, state=wanted, queue=queue, task=task, limit=limit, before=before))
    if as_json:
        print(json.dumps([_plain(job) for job in found], indent=2))
        return OK
    print(f"{'ID':>8}  {'STATE':<9}  {'ATTEMPTS':>8}  {'ENQUEUED':<20}  {'QUEUE':<12}  {'TASK':<28}  ERROR")
    for job in found:
        print(
            f"{job.id:>8}  {job.state:<9}  {job.attempts:>8}  {_time(job.enqueued_at):<20}  {_cut(job.queue, 12):<12}  "
            f"{_cut(job.task, 28):<28}  {_cut(job.error or '', 60)}".rstrip()
        )
    return OK


def show(target: str | None, job_id: int, *, as_json: bool) -> int:
    """Print everything about one job."""
    job = _run(target, lambda jobs, uow: jobs.get(uow, job_id))
    if job is None:
        raise CommandError(f"there is no job {job_id}: it never was, or has been pruned", code=FAILED)
    plain = _plain(job)
    if as_json:
        print(json.dumps(plain, indent=2))
    else:
        for name, value in plain.items():
            print(f"{name + ':':<13} {json.dumps(value) if isinstance(value, dict) else '-' if value is None else value}")
    return OK


def retry(target: str | None, job_ids: list[int]) -> int:
    """Queue failed or cancelled jobs again."""
    return _change(
        target, job_ids, Jobs.retry, done="queued again", else_="has not failed and is not cancelled, or is not there"
    )


def cancel(target: str | None, job_ids: list[int]) -> int:
    """End jobs that wait, and ask those that run to end."""
    return _change(target, job_ids, Jobs.cancel, done="cancelled", else_="has ended already, or is not there")


def _change(
    target: str | None, job_ids: list[int], change: Callable[[Jobs, UnitOfWork, int], Awaitable[bool]], *, done: str, else_: str
) -> int:
    async def work(jobs: Jobs, uow: UnitOfWork) -> list[bool]:
        return [await change(jobs, uow, job_id) for job_id in job_ids]

    changed = _run(target, work, writing=True)
    for job_id, success in zip(job_ids, changed, strict=True):
        print(f"job {job_id}: {done if success else else_}")
    return OK if all(changed) else FAILED


def _run(target: str | None, work: Callable[[Jobs, UnitOfWork], Awaitable[T]], *, writing: bool = False) -> T:
    """`work` in one transaction, with the service's jobs; nothing but the database is opened."""
    jobs = next((resource for resource in load(target) if isinstance(resource, Jobs)), None)
    if jobs is None:
        raise CommandError("the worker's resources have no fastness.jobs.Jobs among them")

    async def run() -> T:
        try:
            await jobs.check()
            unit = jobs.database.unit()
            async with unit if writing else unit.reading() as uow:
                return await work(jobs, uow)
        finally:
            await jobs.database.engine.dispose()

    try:
        return asyncio.run(run())
    except JobError as error:
        raise CommandError(str(error)) from error
    except UNAVAILABLE as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise CommandError(f"the database cannot be reached: {reason}") from error


def _plain(job: JobRecord) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in job._asdict().items()}


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%SZ}"


def _cut(text: str, length: int) -> str:
    # What jobs carry came from elsewhere: nothing in it may steer the terminal.
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= length else f"{text[: length - 3]}..."
