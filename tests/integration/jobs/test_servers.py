"""Jobs where the way to PostgreSQL is not plain: through a real PgBouncer, and across a restart of the whole server."""

# ruff: noqa: ASYNC110 - what is waited for happens in other processes, and in the database

import asyncio
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.integration.conftest import TIME_LIMIT, free_port, unprivileged, wait_for

from fastness.database import Database, PoolSize
from fastness.database.fit import Fleet, examine
from fastness.jobs import Injected, Intervals, Jobs, Worker, task
from fastness.testing import _servers

# Whoever is not told anything looks again only when the test is over.
DEAF = Intervals(poll=3600, beat=1000, dead_after=3000, sample=3600, prune=3600)


class Ran(asyncio.Queue):
    """The numbers of the jobs that were run."""


@task(name="note")
async def note(number: int, ran: Injected[Ran]) -> None:
    """Say that it was run."""
    ran.put_nowait(number)


async def enqueue(jobs, *numbers):
    async with jobs.database.unit() as uow:
        await jobs.enqueue_many(uow, note, [{"number": number} for number in numbers])


async def test_workers_listen_past_a_pooler(postgres, pooled_url, postgres_url):
    """Everything goes through it but the notifications; the pooler is recognised, and nothing of the sessions is lost."""
    database, ran = Database(pooled_url, pool=PoolSize(kept=3, overflow=3, wait=30)), Ran()
    assert (await examine(database.engine, pool=PoolSize(), fleet=Fleet())).pooler
    jobs = Jobs(database, tasks=[note], direct_url=postgres_url)
    await jobs.check()
    worker = Worker(jobs, provide={Ran: ran}, intervals=DEAF)
    await worker.open()
    try:
        async with asyncio.timeout(TIME_LIMIT):
            while not await listening(postgres):
                await asyncio.sleep(0.02)
            for number in range(20):
                await enqueue(jobs, number)
                assert await ran.get() == number
    finally:
        await worker.close()
        await database.close()


async def listening(database):
    """The worker has said what it wants to hear, and has looked once for what came before."""
    async with database.unit().reading() as uow:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        return await uow.session.scalar(text(query))


class OwnServer:
    """A PostgreSQL that a test may end."""

    def __init__(self, directory: Path) -> None:
        self._user, port = unprivileged(), free_port()
        directory.mkdir()
        if self._user:
            shutil.chown(directory, self._user)
            for parent in directory.parents[:-1]:
                parent.chmod(parent.stat().st_mode | 0o011)
        try:
            self._command = _servers.postgres_command(directory, port)
        except _servers.MissingError as error:
            pytest.skip(f"PostgreSQL cannot be restarted here: {error}")
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            self._command, user=self._user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(self.url, self._process)

    def close(self):
        self._process.send_signal(signal.SIGINT)  # "fast": every session is ended, then the server
        self._process.wait(TIME_LIMIT)


async def test_a_worker_outlives_a_restart_of_the_server(tmp_path, migrate):
    """Whatever it was doing: what was running is stored, what comes afterwards is heard of, and it is not ready in between."""
    with closing(await asyncio.to_thread(OwnServer, tmp_path / "server")) as server:
        database, ran = Database(server.url, pool=PoolSize(kept=3, overflow=3, wait=30)), Ran()
        await migrate(database)
        jobs = Jobs(database, tasks=[note])
        worker = Worker(jobs, provide={Ran: ran}, intervals=Intervals(poll=0.5, beat=1, dead_after=600))
        await worker.open()
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await enqueue(jobs, 1)
                assert await ran.get() == 1
                await asyncio.to_thread(server.close)
                while not await fails(worker.check):
                    await asyncio.sleep(0.05)
                assert await fails(jobs.check)
                await asyncio.to_thread(server.start)
                while await fails(worker.check):
                    await asyncio.sleep(0.05)
                while await fails(lambda: enqueue(jobs, 2)):  # connections of the pool that have yet to be found broken
                    pass
                assert await ran.get() == 2
        finally:
            await worker.close()
            await database.close()


async def fails(check):
    try:
        await check()
    except Exception:
        return True
    return False
