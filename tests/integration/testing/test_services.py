"""Services are found or started once for a run, each test has a database of its own, and what is missing is told."""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from redis import Redis, RedisError

from fastness.testing import _servers, _supervisor, services

CONFTEST = """
import dataclasses
from fastness.testing import _servers, services
pytest_plugins = ["fastness.testing.services"]

def missing(directory, port):
    raise _servers.MissingError("no program")
"""
OWN = """
services.REDIS = dataclasses.replace(services.REDIS, local=())
services.POSTGRES = dataclasses.replace(services.POSTGRES, local=())
"""
MISSING = """
services.REDIS = dataclasses.replace(services.REDIS, local=("redis://127.0.0.1:1/0",), command=missing)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on the given tests in a process of its own, without what the environment says of services."""
    for name in ("FASTNESS_TEST_POSTGRES", "FASTNESS_TEST_REDIS", "CI"):
        monkeypatch.delenv(name, raising=False)
    # Those of others take most of the time that such a run takes to begin.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(conftest, tests, *arguments):
        pytester.makeconftest(CONFTEST + conftest)
        pytester.makepyfile(tests)
        return pytester.runpytest_subprocess("-p", "xdist", *arguments)

    return run


def has(program):
    try:
        program()
    except _servers.MissingError:
        return False
    return True


def test_each_test_has_an_empty_postgres_database(postgres_url, postgres_server):
    """The database is empty and a test's own; a copy of it has its tables; it can be dropped while somebody is connected."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (0,)
        connection.execute("create table t (i int)")
    copy = postgres_server.create(template=postgres_url)
    with psycopg.connect(copy) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (0,)
        postgres_server.drop(copy)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_redis_database(redis_url, turn):
    """What one test leaves in Redis is gone for the next, and it is not the database that others use."""
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", turn)
    assert not redis_url.endswith("/0")


async def test_database_url_is_for_sqlalchemy(database_url):
    """Both databases can be opened by SQLAlchemy and are empty."""
    from sqlalchemy import inspect, text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("create table t (i int)"))
        assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == ["t"]
    await engine.dispose()


@pytest.mark.skipif(not has(_servers._postgres_programs), reason="no PostgreSQL program is installed")
def test_own_servers_are_started_once_and_ended(run, pytester):
    """Where none is found, one server of a kind is started for all worker processes and ended after the run."""
    tests = """
        import os, pathlib, pytest, psycopg
        from urllib.parse import urlsplit

        @pytest.mark.parametrize("number", range(4))
        def test_postgres(postgres_url, number):
            with psycopg.connect(postgres_url) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
            with open("ports", "a") as file:
                print(urlsplit(postgres_url).port, file=file)
    """
    result = run(OWN, tests, "-n", "2")
    result.assert_outcomes(passed=4)
    (port,) = set((pytester.path / "ports").read_text().split())
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=10)


@pytest.mark.skipif(not has(lambda: _servers.redis_command(Path(), 1)), reason="no Redis program is installed")
def test_a_port_that_was_taken_meanwhile_is_no_obstacle(monkeypatch):
    """Between the choice of a free port and the server's start, another process may take it: then another one is chosen."""
    with tempfile.TemporaryDirectory() as run, socket.socket() as taken:  # not below tmp_path, where only we may look
        taken.bind(("127.0.0.1", 0))
        ports = iter([taken.getsockname()[1], _servers._free_port()])
        monkeypatch.setattr(_servers, "_free_port", lambda: next(ports))
        server = _servers.start(services.REDIS, Path(run))
        try:
            assert _answers(server.url)
            assert next(ports, None) is None
        finally:
            _servers.stop(server.supervisor)


@pytest.mark.skipif(not has(lambda: _servers.redis_command(Path(), 1)), reason="no Redis program is installed")
def test_an_own_redis_ends_with_a_run_that_is_killed(run, pytester):
    """A server of ours does not outlive its run, even if that is killed."""
    tests = """
        import os, pathlib, signal

        def test_redis(redis_url):
            pathlib.Path("url").write_text(redis_url)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(OWN, tests).ret != 0
    url = (pytester.path / "url").read_text()
    deadline = time.monotonic() + 90
    while _answers(url):
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.1)


def _answers(url):
    # Asked as Redis, because another test may have been given the port in the meantime.
    with Redis.from_url(url, socket_timeout=5, retry=None) as client:
        try:
            return client.ping()
        except RedisError:
            return False


def test_what_is_missing_is_skipped_by_name(run):
    """A missing service skips its tests, and the summary says which, how many and why, even where skips are not shown."""
    result = run(MISSING, "def test_a(redis_url): pass\ndef test_b(redis_url): pass\ndef test_c(): pass")
    result.assert_outcomes(passed=1, skipped=2)
    (line,) = [line for line in result.outlines if line.startswith("NOT TESTED")]
    assert line.startswith("NOT TESTED (2 tests): Redis: FASTNESS_TEST_REDIS is not set; redis://127.0.0.1:1/0: ")
    assert line.endswith("; no program")


def test_what_is_missing_fails_where_ci_is_set(run, monkeypatch):
    """With CI=true nothing is skipped for lack of a service."""
    monkeypatch.setenv("CI", "true")
    result = run(MISSING, "def test_a(redis_url): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*service missing: Redis: *no program*"])


def test_a_given_server_that_cannot_be_used_is_an_error(run, monkeypatch):
    """A URL in the environment that leads nowhere is an error, never a skip nor another server."""
    monkeypatch.setenv("FASTNESS_TEST_REDIS", "redis://127.0.0.1:1/0")
    result = run("", "def test_a(redis_url): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ConnectionError: FASTNESS_TEST_REDIS names a server that cannot be used: *"])


def test_the_plugin_costs_nothing_where_it_is_not_used(pytester):
    """Without a test that asks for a service, nothing is looked for and no driver is imported."""
    pytester.makeconftest('pytest_plugins = ["fastness.testing.services"]')
    pytester.makepyfile("""
        import sys
        def test_a():
            assert not {"psycopg", "redis", "sqlalchemy", "httpx2", "hypothesis.strategies"} & set(sys.modules)
    """)
    pytester.runpytest_subprocess("-p", "no:schemathesis", "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_the_supervisor_ends_its_server_when_its_owner_is_gone(tmp_path):
    """The server is ended and the directory removed when the process that wanted them is gone."""
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    (run := tmp_path / "run").mkdir()
    server = [sys.executable, "-c", "import time; time.sleep(3600)"]
    supervisor = subprocess.Popen([sys.executable, _supervisor.__file__, str(owner.pid), str(run), "", *server])
    owner.kill()
    owner.wait()
    assert supervisor.wait(90) != 0
    assert not run.exists()
