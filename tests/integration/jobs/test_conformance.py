"""Jobs keep their promises on PostgreSQL and on SQLite."""

import os
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from fastness.database import Database
from fastness.jobs import JobError, Jobs, Worker
from fastness.testing import ManualClock
from fastness.testing.conformance.jobs import JobsConformance, Script
from fastness.testing.conformance.jobs._base import TASKS, note


class TestJobs(JobsConformance):
    @pytest.fixture
    def clock(self):
        return ManualClock(1_000_000.0)

    @pytest.fixture
    def make_jobs(self, database, clock):
        if database.dialect == "sqlite":
            return lambda **options: Jobs(database, clock=clock, **options)
        return lambda **options: Jobs(database, **options)

    @pytest.fixture
    def pass_time(self, database, clock):
        async def pass_time(seconds):
            clock.advance(seconds)
            if database.dialect == "postgresql":
                async with database.engine.begin() as connection:
                    await connection.execute(
                        text(
                            "UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - make_interval(secs => :s), "
                            "args = args || jsonb_build_object('at', (args->>'at')::float8 - :s)"
                        ),
                        {"s": seconds},
                    )
                    await connection.execute(
                        text("UPDATE procrastinate_events SET at = at - make_interval(secs => :s)"), {"s": seconds}
                    )

        return pass_time


async def test_sqlite_has_one_worker(tmp_path, migrate):
    """A second is refused with the id of the process that works, until that has ended; enqueueing needs neither."""
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    await migrate(database)
    first, second = (Worker(Jobs(database, tasks=[])) for _ in range(2))
    await first.open()
    with pytest.raises(JobError, match=rf"another worker \(process {os.getpid()}\)"):
        await second.open()
    await first.close()
    await first.close()
    await second.open()
    await second.close()
    await database.close()


async def test_a_clock_that_is_set_back_holds_up_no_job(tmp_path, migrate):
    """What was to be run at once is run at once, on SQLite too, where the clock is the machine's."""
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    await migrate(database)
    now = [1_000_000.0]
    jobs = Jobs(database, tasks=TASKS, clock=lambda: now[0])
    async with database.unit() as uow:
        made = await jobs.enqueue(uow, note, what="a")
    now[0] -= 86_400
    assert await jobs.engine.due_in(None) == 0
    assert [claim.id for claim in await jobs.engine.claim(None, 1)] == [made.id]
    await database.close()


async def test_a_claim_that_fails_at_its_commit_is_not_forgotten(tmp_path, migrate):
    """The disk is full, say. Whether the commit was made or not, the job is run: it is not this worker's, and nobody's else."""
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    await migrate(database)
    jobs = Jobs(database, tasks=TASKS)
    async with database.unit() as uow:
        made = await jobs.enqueue(uow, note, what="a")
    commit = database.engine.dialect.do_commit

    def commit_and_fail(connection):
        commit(connection)
        raise sqlite3.OperationalError("disk I/O error")

    database.engine.dialect.do_commit = commit_and_fail
    with pytest.raises(OperationalError):
        await jobs.engine.claim(None, 1)
    del database.engine.dialect.do_commit
    assert await jobs.engine.rescue(3, 30.0) == (1, 0)
    assert [claim.id for claim in await jobs.engine.claim(None, 1)] == [made.id]
    await database.close()


async def test_a_file_that_is_no_pipe_is_not_written_to(tmp_path, migrate):
    """Somebody's file in the place of the pipe is left as it is, and the worker refuses it."""
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    await migrate(database)
    (tmp_path / "service.db.wake").write_text("mine")
    jobs = Jobs(database, tasks=TASKS)
    async with database.unit() as uow:
        await jobs.enqueue(uow, note, what="a")
    with pytest.raises(JobError, match="not the named pipe"):
        await Worker(jobs, provide={Script: Script()}).open()
    assert (tmp_path / "service.db.wake").read_text() == "mine"
    await database.close()
