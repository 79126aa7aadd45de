"""The worker as a process: killed, told to end, asked how it is, and the commands beside it."""

# ruff: noqa: ASYNC110 - what is waited for happens in other processes, and in the database

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from sqlalchemy import text

from fastness.jobs import JobState

TIME_LIMIT = 120
HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("worker_app", HERE / "worker_app.py")
worker_app = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worker_app)
die, greet, stay = worker_app.die, worker_app.greet, worker_app.stay


class Process:
    """`fastness worker` on the test's database."""

    def __init__(self, url, **environment):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.environment = {**os.environ, "TEST_DATABASE_URL": url, **environment}

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastness.tool", "worker", "worker_app:resources", "--port", str(self.port)),
            cwd=HERE,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.errors = asyncio.create_task(self.process.stderr.read())
        return self

    async def __aexit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self.errors

    async def line(self):
        """The next line that a job says."""
        async with asyncio.timeout(TIME_LIMIT):
            found = (await self.process.stdout.readline()).decode().strip()
        assert found, (await self.errors).decode()
        return found

    async def end(self):
        """Its exit code, and what it said on standard error."""
        async with asyncio.timeout(TIME_LIMIT):
            return await self.process.wait(), (await self.errors).decode()

    async def get(self, path):
        """Status and body."""

        def fetch():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as response:
                    return response.status, response.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, ""
            except OSError:
                return 0, ""

        return await asyncio.to_thread(fetch)

    async def until(self, path, wanted):
        """The answer, once `wanted` is in it."""
        async with asyncio.timeout(TIME_LIMIT):
            while wanted not in (found := await self.get(path))[1]:
                await asyncio.sleep(0.1)
        return found


@pytest.fixture
def url(database):
    return database.engine.url.render_as_string(hide_password=False)


@pytest.fixture
async def service(database, url):
    made = worker_app.jobs(url)
    yield made
    await made.database.close()


async def enqueue(service, *args, **options):
    async with service.database.unit() as uow:
        return (await service.enqueue(uow, *args, **options)).id


async def get(service, job_id):
    async with service.database.unit().reading() as uow:
        return await service.get(uow, job_id)


async def ended(service, job_id):
    async with asyncio.timeout(TIME_LIMIT):
        while (found := await get(service, job_id)).state in (JobState.QUEUED, JobState.RUNNING):
            await asyncio.sleep(0.05)
    return found


async def forget_workers(database):
    """Let the time pass after which PostgreSQL's workers are taken for dead. SQLite's lock ends with its process."""
    if database.dialect == "postgresql":
        async with database.engine.begin() as connection:
            await connection.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))


async def test_a_job_that_kills_its_worker_fails_after_three_deaths(database, service, url):
    """Each death is an attempt; the fourth worker finds a dead letter, and goes on with other jobs."""
    job_id = await enqueue(service, die)
    for _ in range(3):
        async with Process(url) as worker:
            assert await worker.line() == f"dying {job_id}"
            assert (await worker.end())[0] == -signal.SIGKILL
        found = await get(service, job_id)
        assert found.state is JobState.RUNNING
        await forget_workers(database)
    async with Process(url) as worker:
        found = await ended(service, job_id)
        await enqueue(service, greet, name="you")
        assert await worker.line() == "hello you"
    assert (found.state, found.attempts, found.crashes) == (JobState.FAILED, 3, 3)
    assert found.error == "the worker died while it ran the job"


async def test_what_a_killed_worker_had_is_run_by_the_next(database, service, url):
    """The job did nothing wrong: it is queued again though its policy makes no second attempt."""
    job_id = await enqueue(service, stay)
    for _ in range(2):
        async with Process(url) as worker:
            assert await worker.line() == f"staying {job_id}"
        await forget_workers(database)
    found = await get(service, job_id)
    assert (found.state, found.attempts, found.crashes) == (JobState.RUNNING, 1, 1)


async def test_sigterm_hands_back_what_does_not_end_within_the_grace(service, url):
    """The process ends with 0, and the job is queued with its attempt counted."""
    job_id = await enqueue(service, stay)
    async with Process(url, TEST_GRACE="0.05") as worker:
        assert await worker.line() == f"staying {job_id}"
        worker.process.send_signal(signal.SIGTERM)
        code, errors = await worker.end()
    assert (code, "Traceback" in errors) == (0, False)
    found = await get(service, job_id)
    assert (found.state, found.attempts, found.crashes) == (JobState.QUEUED, 1, 0)


async def test_a_second_signal_ends_the_process_at_once(service, url):
    """It does not wait for the grace; the job is found as that of any worker that died."""
    job_id = await enqueue(service, stay)
    async with Process(url, TEST_GRACE="800") as worker:
        assert await worker.line() == f"staying {job_id}"
        worker.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(TIME_LIMIT):
            while worker.process.returncode is None:  # signals that come at one moment are one
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)  # Popen.send_signal would take the exit code for itself
                await asyncio.sleep(0.2)
        assert (await worker.end())[0] == 128 + signal.SIGINT
    assert (await get(service, job_id)).state is JobState.RUNNING


async def test_a_worker_says_how_it_is(service, url):
    """It has probes and metrics on a port of its own, and a job that runs is among them."""
    job_id = await enqueue(service, stay)
    async with Process(url) as worker:
        assert await worker.line() == f"staying {job_id}"
        assert (await worker.get("/livez"))[0] == 200
        status, body = await worker.until("/readyz", '"ready"')
        assert (status, json.loads(body)["checks"]) == (200, {"database": "ok", "jobs": "ok", "worker": "ok"})
        await worker.until("/metrics", 'fastness_jobs_running{queue="default"} 1.0')


async def test_a_worker_that_cannot_open_says_why_in_one_line(empty, tmp_path):
    """Its exit code tells that something went wrong, and the text what."""
    async with Process("sqlite:////does/not/exist/service.db") as worker:
        code, errors = await worker.end()
    assert code == 1
    assert errors.strip().splitlines()[-1].startswith("fastness: resource 'worker' did not open: FileNotFoundError")


async def command(url, *arguments):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastness.tool", "jobs", *arguments, "--worker", "worker_app:resources"),
        cwd=HERE,
        env={**os.environ, "TEST_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIME_LIMIT):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_commands(service, url):
    """Jobs are listed, shown, cancelled and retried; what cannot be done ends with 1."""
    job_id = await enqueue(service, greet, name="\x1b[31m")
    code, out, _ = await command(url, "list", "--state", "queued")
    assert code == 0
    assert f"{job_id}  queued" in out
    code, out, _ = await command(url, "cancel", str(job_id), str(job_id + 1))
    assert (code, out) == (1, f"job {job_id}: cancelled\njob {job_id + 1}: has ended already, or is not there\n")
    code, out, _ = await command(url, "show", str(job_id), "--json")
    assert (code, json.loads(out)["state"], json.loads(out)["arguments"]) == (0, "cancelled", {"name": "\x1b[31m"})
    code, out, _ = await command(url, "retry", str(job_id))
    assert (code, out) == (0, f"job {job_id}: queued again\n")
    code, out, _ = await command(url, "show", str(job_id))
    assert "\x1b" not in out
    assert "state:        queued" in out
    code, _, err = await command(url, "show", str(job_id + 1))
    assert (code, err) == (1, f"fastness: there is no job {job_id + 1}: it never was, or has been pruned\n")


async def test_the_commands_without_tables(empty):
    """They say what to do."""
    code, _, err = await command(empty.engine.url.render_as_string(hide_password=False), "list")
    assert code == 2
    assert err == "fastness: the tables of jobs are missing: add a migration with fastness.jobs.migrations.upgrade(op)\n"
