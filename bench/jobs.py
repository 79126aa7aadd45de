"""Jobs per second through our API, beside procrastinate's own loop on the same PostgreSQL; and the cost of an enqueue."""

# ruff: noqa: ASYNC110 - what is waited for happens in the database

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from alembic.migration import MigrationContext
from alembic.operations import Operations
from procrastinate import App, PsycopgConnector
from sqlalchemy import event

from fastness.database import Database
from fastness.jobs import Job, Jobs, Worker, migrations, task

SERVER = os.environ.get("FASTNESS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
CONCURRENCY = 10
LIMITS = {"ratio": 0.9, "enqueue_round_trips": 1}

_done: list[int] = []


@task(name="nothing")
async def nothing(number: int, job: Job) -> None:
    """What takes no time shows what the loop costs."""
    _done.append(number)


def measure(*, rounds: int, jobs: int) -> dict[str, Any]:
    """Both loops in turn, on databases of their own; the medians."""
    logging.disable(logging.ERROR)
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(asyncio.run(_with_database(_procrastinate, jobs)))
        ours.append(asyncio.run(_with_database(_fastness, jobs)))
    round_trips = asyncio.run(_with_database(_round_trips, 0))
    return {
        "jobs": jobs,
        "concurrency": CONCURRENCY,
        "jobs_per_second": round(statistics.median(ours)),
        "procrastinate_jobs_per_second": round(statistics.median(theirs)),
        "ratio": round(statistics.median(ours) / statistics.median(theirs), 2),
        "enqueue_round_trips": int(round_trips),
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """What is out of its limit, one line each."""
    found = []
    if figures["ratio"] < LIMITS["ratio"]:
        found.append(f"ratio is {figures['ratio']}, at least {LIMITS['ratio']} is wanted")
    if figures["enqueue_round_trips"] > LIMITS["enqueue_round_trips"]:
        found.append(f"enqueue_round_trips is {figures['enqueue_round_trips']}, 1 is wanted")
    return found


async def _with_database(run: Callable[[Database, int], Awaitable[float]], jobs: int) -> float:
    name = f"fastness_bench_{uuid.uuid4().hex}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            database = Database(urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}")))
            async with database.engine.begin() as migrating:
                await migrating.run_sync(lambda sync: migrations.upgrade(Operations(MigrationContext.configure(sync))))
            try:
                return await run(database, jobs)
            finally:
                await database.close()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


async def _fastness(database: Database, count: int) -> float:
    jobs = Jobs(database, tasks=[nothing])
    async with database.unit() as uow:
        await jobs.enqueue_many(uow, nothing, [{"number": number} for number in range(count)])
    worker = Worker(jobs, concurrency=CONCURRENCY)
    _done.clear()
    began = perf_counter()
    await worker.open()
    await _until(database, count)
    seconds = perf_counter() - began
    await worker.close()
    return count / seconds


async def _procrastinate(database: Database, count: int) -> float:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="nothing")
    async def theirs(number: int) -> None:
        _done.append(number)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.open_async())
        arguments: list[dict[str, Any]] = [{"number": number} for number in range(count)]
        await theirs.batch_defer_async(*arguments)
        _done.clear()
        began = perf_counter()
        worker = asyncio.create_task(app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False))
        await _until(database, count)
        seconds = perf_counter() - began
        worker.cancel()
        await asyncio.wait({worker})
    return count / seconds


async def _until(database: Database, count: int) -> None:
    """All have run, and are stored as succeeded."""
    while len(_done) < count:
        await asyncio.sleep(0.005)
    async with database.engine.connect() as connection:
        while (
            await connection.exec_driver_sql("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
        ).scalar() != count:
            await asyncio.sleep(0.005)


async def _round_trips(database: Database, _: int) -> float:
    jobs, statements = Jobs(database, tasks=[nothing]), []
    async with database.unit() as uow:
        event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        await jobs.enqueue(uow, nothing, number=1, key="k")
        return float(len(statements))
