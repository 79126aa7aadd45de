"""A pytest plugin: PostgreSQL and Redis for tests, and one database of its own for each test.

Name it in the top-level conftest: `pytest_plugins = ["fastness.testing.services"]`. A server is found by the environment
variable `FASTNESS_TEST_POSTGRES` or `FASTNESS_TEST_REDIS` (a URL), else on localhost's standard port, else one is started for
the run and ended after it. What cannot be had is skipped by name; where `CI` is set, that is a failure. PostgreSQL needs the
`db` extra, Redis the `redis` extra.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import pytest

from fastness.testing import _servers

pytest.register_assert_rewrite("fastness.testing.conformance")

_PREFIX = "service missing"
_LEASE = "fastness-test:lease:"
_LEASE_SECONDS = 3600


class PostgresServer:
    """A PostgreSQL server on which tests make databases.

    Attributes:
        url: of the database to connect to for making others.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self, *, template: str | None = None) -> str:
        """Make a database, a copy of the one at the URL `template` if given, and give its URL.

        To migrate once and not for each test, make and migrate a template for the session and copy it for each test; nobody
        may be connected to it then.
        """
        name = f"fastness_test_{uuid.uuid4().hex}"
        self._run(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{_database(template)}"' if template else ""))
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop(self, url: str) -> None:
        """Drop a database that `create` made, whoever is connected."""
        self._run(f'DROP DATABASE IF EXISTS "{_database(url)}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True, connect_timeout=60) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """A PostgreSQL server on which tests may make databases."""
    return PostgresServer(_server(POSTGRES).url)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL (`postgresql://...`) of an empty database that is this test's alone."""
    url = postgres_server.create()
    try:
        yield url
    finally:
        postgres_server.drop(url)


@pytest.fixture(scope="session")
def _redis_database() -> Iterator[str]:
    """A Redis database that is this process's alone: one that was empty, on which it holds a lease."""
    import redis

    server = _server(REDIS)
    urls = [urlunsplit(urlsplit(server.url)._replace(path=f"/{number}")) for number in range(16)]
    with redis.Redis.from_url(urls[0]) as client:
        for number, url in reversed(list(enumerate(urls))[1:]):
            if not client.set(f"{_LEASE}{number}", os.getpid(), nx=True, ex=_LEASE_SECONDS):
                continue
            try:
                if _is_empty(url):
                    yield url
                    return
            finally:
                client.delete(f"{_LEASE}{number}")
    _missing(REDIS, f"no database 1 to 15 of the server {server.found} is empty and free")


@pytest.fixture
def redis_url(_redis_database: str) -> Iterator[str]:
    """The URL (`redis://...`) of an empty Redis database that is this test's alone."""
    import redis

    try:
        yield _redis_database
    finally:
        with redis.Redis.from_url(_redis_database) as client:
            client.flushdb()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL for `create_async_engine` of an empty database that is this test's alone: on SQLite, on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run, unless this is a worker process of one (pytest-xdist)."""
    if not hasattr(config, "workerinput"):
        before = {name: os.environ.get(name) for name in (_servers.RUN_VARIABLE, f"{_servers.RUN_VARIABLE}_OWNER")}
        config.stash[_RUN] = (_servers.begin(), before)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers that the run has started."""
    run, before = config.stash.get(_RUN, (None, {}))
    if run is not None:
        _servers.end(run)
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which services were missing, also where skips are not shown."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        _, separator, reason = str(report.longrepr).partition(f"{_PREFIX}: ")
        if separator:
            reason = reason.rstrip("')")
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"NOT TESTED ({count} tests): {reason}", yellow=True)


def _server(kind: _servers.Kind) -> _servers.Server:
    try:
        return _servers.find(kind, Path(os.environ[_servers.RUN_VARIABLE]))
    except _servers.MissingError as error:
        _missing(kind, str(error))


def _missing(kind: _servers.Kind, reason: str) -> NoReturn:
    text = f"{_PREFIX}: {kind.name}: {reason}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def _connect_postgres(url: str) -> None:
    import psycopg

    psycopg.connect(url, connect_timeout=20).close()


def _connect_redis(url: str) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Without a second try, which by default is seconds later.
    once = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(url, socket_connect_timeout=20, socket_timeout=20, retry=once) as client:
        client.ping()


def _is_empty(url: str) -> bool:
    import redis

    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.dbsize() == 0)
        except redis.RedisError:  # a server with fewer databases
            return False


def _database(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


_RUN = pytest.StashKey[tuple[Path, dict[str, str | None]]]()
POSTGRES = _servers.Kind(
    name="PostgreSQL",
    variable="FASTNESS_TEST_POSTGRES",
    local=(
        "postgresql://postgres@127.0.0.1:5432/postgres",
        "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
        "postgresql://127.0.0.1:5432/postgres",
    ),
    connect=_connect_postgres,
    command=_servers.postgres_command,
    own=lambda port: f"postgresql://postgres@127.0.0.1:{port}/postgres",
)
REDIS = _servers.Kind(
    name="Redis",
    variable="FASTNESS_TEST_REDIS",
    local=("redis://127.0.0.1:6379/0",),
    connect=_connect_redis,
    command=_servers.redis_command,
    own=lambda port: f"redis://127.0.0.1:{port}/0",
)
