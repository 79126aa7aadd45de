"""The database below the service: transactions, migrations, readiness. Each test on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from alembic import command
from fastness.telemetry import metrics
from sqlalchemy import text

from app.infra.db.engine import Database, PoolSize, parse_url
from app.infra.db.uow import SqlTransaction
from tests.conftest import alembic


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url, pool=PoolSize(kept=5, overflow=5, wait=120))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def counter(database: Database) -> None:
    """A table with one number, 0."""
    async with database.session() as session, session.begin():
        await session.execute(text("CREATE TABLE counter (value INTEGER NOT NULL)"))
        await session.execute(text("INSERT INTO counter VALUES (0)"))


async def count(database: Database) -> int | None:
    async with database.session() as session:
        value: int | None = await session.scalar(text("SELECT value FROM counter"))
        return value


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_plain_read_modify_write_is_safe_on_sqlite(database: Database, counter: None) -> None:
    """A writer takes its lock before it reads: 100 of them at once count to 100 without a version to compare."""

    async def increment() -> None:
        async with database.session() as session, session.begin():
            value = await session.scalar(text("SELECT value FROM counter")) or 0
            await asyncio.sleep(0)
            await session.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    await asyncio.gather(*(increment() for _ in range(100)))
    assert await count(database) == 100


@pytest.mark.parametrize("outcome", ["commit", "error", "cancelled"])
async def test_a_transaction_is_whole(database: Database, counter: None, outcome: str) -> None:
    """It commits at its end; an error or a cancellation rolls it back; the connection is given back either way."""
    begun = asyncio.Event()

    async def work() -> None:
        async with database.session() as session, SqlTransaction(session):
            await session.execute(text("UPDATE counter SET value = 1"))
            begun.set()
            if outcome == "error":
                raise RuntimeError
            if outcome == "cancelled":
                await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await begun.wait()
    if outcome == "cancelled":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await count(database) == (1 if outcome == "commit" else 0)
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_readers_do_not_wait_for_a_writer(database: Database, counter: None) -> None:
    """A transaction that only reads sees what was there before the one that is being written."""
    async with database.session() as session, SqlTransaction(session):
        await session.execute(text("UPDATE counter SET value = 1"))
        async with database.session() as other, SqlTransaction(other).reading():
            assert await asyncio.wait_for(other.scalar(text("SELECT value FROM counter")), 60) == 0


async def test_metrics_show_how_full_the_pool_is(database: Database) -> None:
    """Connections in use of those that there may be, until the database is closed."""
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
        shown = (await metrics.expose())[0].decode()
    assert 'fastness_pool_used{pool="database"} 1.0' in shown
    assert 'fastness_pool_size{pool="database"} 10.0' in shown
    await database.close()
    assert 'pool="database"' not in (await metrics.expose())[0].decode()


async def test_a_migrated_database_is_ready(database: Database) -> None:
    """As long as it is open."""
    await database.check()
    closed = Database("sqlite:///never-opened.db")
    with pytest.raises(RuntimeError, match="not open"):
        await closed.check()


def test_migrations_and_models_agree(database_url: str) -> None:
    """`alembic check` finds nothing to do, and the way down works."""
    command.check(alembic(database_url))
    command.downgrade(alembic(database_url), "base")
    command.upgrade(alembic(database_url), "head")
    command.check(alembic(database_url))


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "hunter2", "", "postgresql+asyncpg://u:hunter2@h/d", "sqlite://"])
def test_another_database_is_refused_without_quoting_the_url(url: str) -> None:
    """A URL may hold a password."""
    with pytest.raises(ValueError, match="database URL") as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)
