"""Jobs on PostgreSQL alone: several workers, connections that are cut, and how much is asked of the server."""

# ruff: noqa: ASYNC110 - what is waited for happens in other processes, and in the database

import asyncio
from collections import Counter

import pytest
from sqlalchemy import event, text

from fastness.database import Database, PoolSize
from fastness.database.fit import WORKER_CONNECTIONS
from fastness.jobs import ONCE, Injected, Intervals, Job, Jobs, JobState, Worker, once, task
from fastness.jobs.model import Settlement

TIME_LIMIT = 120


class Ran(Counter):
    """How often each was run, by its number."""


@task(name="run", retry=ONCE)
async def run(number: int, ran: Injected[Ran]) -> None:
    """Count it."""
    await asyncio.sleep(0)
    ran[number] += 1


@task(name="effect", timeout=600)
async def effect(number: int, job: Job, database: Injected[Database], ran: Injected[Ran]) -> None:
    """Count it in the database, once."""
    ran[number] += 1
    async with database.unit() as uow:
        if await once(uow, job):
            await uow.session.execute(text("INSERT INTO effects VALUES (:number)"), {"number": number})


@pytest.fixture
async def make_jobs(postgres):
    """Jobs as several processes would have them."""
    return lambda **options: Jobs(postgres, tasks=[run, effect], **options)


async def until(condition):
    async with asyncio.timeout(TIME_LIMIT):
        while not await condition():
            await asyncio.sleep(0.02)


async def states(database):
    async with database.unit().reading() as uow:
        return dict((await uow.session.execute(text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY 1"))).all())


async def test_two_workers_run_each_job_once(make_jobs, postgres):
    """Side by side, they take different jobs."""
    jobs, ran = make_jobs(), Ran()
    workers = [Worker(make_jobs(), provide={Ran: ran}, concurrency=8) for _ in range(2)]
    for worker in workers:
        await worker.open()
    try:
        async with postgres.unit() as uow:
            await jobs.enqueue_many(uow, run, [{"number": number} for number in range(300)])

        async def done():
            return (await states(postgres)).get("succeeded") == 300

        await until(done)
    finally:
        for worker in workers:
            await worker.close()
    assert ran == dict.fromkeys(range(300), 1)


async def test_two_rescuers_take_each_job_once(make_jobs, postgres):
    """Looking for jobs of dead workers at the same moment counts no attempt twice, and finds all."""
    jobs = make_jobs()
    async with postgres.unit() as uow:
        await jobs.enqueue_many(uow, run, [{"number": number} for number in range(60)])
    dead, *rescuers = (make_jobs().engine for _ in range(4))
    for engine in (dead, *rescuers):
        await engine.start(lambda: None, lambda: None)
    try:
        claims = await dead.claim(None, 40)
        async with postgres.engine.begin() as connection:
            await connection.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
        results = await asyncio.gather(*(rescuer.rescue(3, 30) for rescuer in rescuers * 2))
        assert sum(queued for queued, _ in results) == len(claims) == 40
        async with postgres.unit().reading() as uow:
            found = await jobs.find(uow, limit=100)
        assert Counter((job.state, job.attempts, job.crashes) for job in found) == {
            (JobState.QUEUED, 1, 1): 40,
            (JobState.QUEUED, 0, 0): 20,
        }
        assert not await dead.beat()  # and what it finds out does not count any more
        assert await dead.settle([Settlement(claim=claim, state=JobState.FAILED) for claim in claims]) == set()
    finally:
        for engine in (dead, *rescuers):
            await engine.stop()


async def test_a_worker_outlives_its_connections(make_jobs, postgres):
    """With every connection cut again and again, no job is lost, none stays behind, and each effect is there once."""
    jobs, ran = make_jobs(), Ran()
    async with postgres.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE effects (number int)"))
    mine = Database(
        postgres.engine.url.render_as_string(hide_password=False), pool=PoolSize(wait=30), application="of-the-tasks"
    )
    worker = Worker(
        make_jobs(),
        provide={Ran: ran, Database: mine},
        concurrency=5,
        intervals=Intervals(poll=0.2, beat=0.2, dead_after=60),
        crashes=1000,
    )
    await worker.open()
    cut = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name IN ('fastness-worker', 'fastness-worker-listen')"
    )
    try:
        for step in range(12):
            async with postgres.unit() as uow:
                await jobs.enqueue_many(uow, effect, [{"number": 20 * step + number} for number in range(20)])
            async with postgres.engine.begin() as connection:
                await connection.execute(cut)

        async def done():
            return (await states(postgres)).get("succeeded") == 240

        await until(done)
    finally:
        await worker.close()
        await mine.close()
    async with postgres.unit().reading() as uow:
        numbers = sorted(await uow.session.scalars(text("SELECT number FROM effects")))
    assert numbers == list(range(240))
    assert await states(postgres) == {"succeeded": 240}


async def test_what_was_taken_unknowingly_is_put_back(make_jobs, postgres):
    """A claim whose answer got lost with its connection does not stay with a worker that lives."""
    jobs = make_jobs()
    async with postgres.unit() as uow:
        await jobs.enqueue_many(uow, run, [{"number": number} for number in range(2)])
    engine = jobs.engine
    await engine.start(lambda: None, lambda: None)
    try:
        claims = await engine.claim(None, 2)
        engine._claimed.discard((claims[0].id, 0))
        assert await engine.rescue(3, 30) == (0, 0)
        async with postgres.unit().reading() as uow:
            found = {job.id: (job.state, job.attempts) for job in await jobs.find(uow)}
        assert found == {claims[0].id: (JobState.QUEUED, 0), claims[1].id: (JobState.RUNNING, 0)}
    finally:
        await engine.stop()


async def test_a_worker_opens_as_many_connections_as_are_counted(make_jobs, postgres):
    """Beside its pool, however much it has to ask at the same moment."""
    engine = make_jobs().engine
    await engine.start(lambda: None, lambda: None)
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'fastness-worker%'"
    )

    async def opened():
        async with postgres.unit().reading() as uow:
            return await uow.session.scalar(text(query))

    async def all_are_open():
        return await opened() >= WORKER_CONNECTIONS

    try:
        asking = asyncio.gather(*(engine._run("SELECT pg_sleep(0.2)", {}) for _ in range(8)))
        await until(all_are_open)
        await asking
        assert await opened() == WORKER_CONNECTIONS
    finally:
        await engine.stop()


async def test_an_enqueue_is_one_round_trip(make_jobs, postgres):
    """On the connection of the transaction, also for many jobs and with a key."""
    jobs, statements = make_jobs(), []
    async with postgres.unit() as uow:
        event.listen(postgres.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        await jobs.enqueue(uow, run, number=1)
        await jobs.enqueue(uow, run, number=1, key="k", lock="l", delay=5)
        await jobs.enqueue_many(uow, run, [{"number": number} for number in range(50)])
        assert len(statements) == 3


async def test_procrastinate_sees_its_jobs(make_jobs, postgres):
    """The tables are procrastinate's: its own tools read what we wrote."""
    from procrastinate import App, PsycopgConnector

    jobs = make_jobs()
    async with postgres.unit() as uow:
        job_id = (await jobs.enqueue(uow, run, number=1, key="k", lock="l", priority=3)).id
    url = postgres.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with App(connector=PsycopgConnector(conninfo=url)).open_async() as app:
        (found,) = await app.job_manager.list_jobs_async()
        assert (found.id, found.task_name, found.lock, found.priority, found.status) == (job_id, "run", "l", 3, "todo")
        assert await app.job_manager.cancel_job_by_id_async(job_id)
    assert await states(postgres) == {"cancelled": 1}
