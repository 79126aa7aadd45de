"""Fixtures for every test: the service on a database of its own, SQLite and PostgreSQL alike, and tokens for it."""

import os

os.environ.setdefault("ENVIRONMENT", "test")  # before anything imports `app.main`, which reads the settings

import shutil
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

# feature: example
import hypothesis

# /feature: example
import pytest
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from fastness import testing
from fastness.auth.dev import DevIssuer
from fastness.database import Database
from pydantic import SecretStr

from app.core.config import Settings
from app.infra.db.database import make_database
from app.main import create_app

# feature: example
# Everywhere as in CI: no time limit for an example, which a busy machine would miss, and the same examples in every run.
hypothesis.settings.load_profile("ci")

# /feature: example
pytest_plugins = ["fastness.testing.services"]

ROOT = Path(__file__).parents[1]
SCOPES: list[str] = []
# feature: example
SCOPES += [f"{thing}:{verb}" for thing in ("endpoints", "events", "deliveries") for verb in ("read", "write")]
# /feature: example

if TYPE_CHECKING:
    from fastness.testing.services import PostgresServer  # a plugin, which pytest must be the first to import

Token = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The service runs on asyncio."""
    return "asyncio"


def alembic(url: str) -> Config:
    """Alembic's configuration for the database at `url`."""
    return Config(ROOT / "alembic.ini", cmd_opts=Namespace(x=[f"url={url}"]))


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    command.upgrade(alembic(f"sqlite:///{path}"), "head")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: "PostgresServer") -> Iterator[str]:
    """A PostgreSQL database with the tables, to copy."""
    url = postgres_server.create()
    command.upgrade(alembic(url), "head")
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the tables that is this test's alone: on SQLite, on PostgreSQL."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "service.db")
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create(template=request.getfixturevalue("migrated_postgres"))
    yield url
    server.drop(url)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """The service's settings for one test."""
    return Settings(
        environment="test",
        database_url=SecretStr(database_url),
        database_pool_wait=60,  # a busy machine is not what is tested
        request_deadline=60,
        dev_key_directory=str(tmp_path / "keys"),
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The service's database, open: for tests that do without its server, in which many may wait for a connection."""
    made = make_database(settings.model_copy(update={"database_pool_wait": 120.0}), application="test")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The service."""
    return create_app(settings)


@pytest.fixture
def token(settings: Settings) -> Token:
    """Makes request headers with a token: `token(tenant="acme", scopes=["events:read"])`."""
    issuer = DevIssuer(settings.dev_key_directory, environment="test", audience=settings.auth_audience)

    def make(*, tenant: str | None = "acme", scopes: list[str] | None = None, lifetime: int = 600) -> dict[str, str]:
        issued = issuer.issue_token(tenant=tenant, scopes=SCOPES if scopes is None else scopes, lifetime=lifetime)
        return {"authorization": f"Bearer {issued}"}

    return make


@pytest.fixture
async def client(app: FastAPI, token: Token) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service that is running, with every scope, for the tenant `acme`."""
    async with testing.client(app, headers=token(), raise_errors=False) as made:
        yield made
