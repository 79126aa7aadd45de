"""Connections: how they are opened and given back, and what cancellation leaves of them."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from fastness.database import Database, migrations
from fastness.database.engine import create_engine


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'service.db'}"


@pytest.mark.parametrize("turns", range(48))
def test_a_cancelled_unit_leaves_no_thread(url: str, turns: int, caplog: pytest.LogCaptureFixture) -> None:
    """At whatever moment, also while its connection is opened: a thread would answer to an event loop that is closed."""

    async def main() -> None:
        database = Database(url)

        async def work() -> None:
            async with database.unit() as uow:
                await uow.session.execute(text("SELECT 1"))

        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0.0001 if turns % 2 else 0)
        task.cancel()
        await asyncio.wait({task})
        await database.close()

    before = set(threading.enumerate())
    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
        assert not thread.is_alive()
    assert caplog.records == []


def test_a_file_that_is_no_database_leaves_no_thread(tmp_path: Path) -> None:
    """A connection that cannot be set up is closed again."""
    path = tmp_path / "service.db"
    path.write_bytes(b"not a database " * 100)

    async def main() -> None:
        database = Database(f"sqlite:///{path}")
        with pytest.raises(DatabaseError):
            async with database.unit():
                pass
        await database.close()

    before = set(threading.enumerate())
    asyncio.run(main())
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
        assert not thread.is_alive()


async def test_connections_are_safe(url: str) -> None:
    """Every connection queues its writers, keeps what was committed, and enforces foreign keys."""
    database = Database(url)
    async with database.unit().reading() as uow:
        found = {
            name: await uow.session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    await database.close()


async def test_connections_suit_a_pooler(postgres_url: str) -> None:
    """Nothing is prepared on the server, where the next transaction may not find it; and they say whose they are."""
    database = Database(postgres_url, application="shop")
    async with database.unit().reading() as uow:
        for _ in range(10):
            await uow.session.execute(text("SELECT CAST(:n AS int)"), {"n": 1})
        assert await uow.session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
        assert await uow.session.scalar(text("SHOW application_name")) == "shop"
    await database.close()


async def test_nothing_is_migrated_inside_of_a_service(url: str) -> None:
    """Each of its processes would."""
    with pytest.raises(SystemExit, match="inside of a running service"):
        migrations.run(url, metadata=[])


async def test_a_transaction_that_was_begun_by_hand_is_undone(url: str) -> None:
    """What somebody began behind the session's back does not go to the next who gets the connection."""
    database = Database(url)
    async with database.unit() as uow:
        await uow.session.execute(text("CREATE TABLE t (n INTEGER)"))
    async with database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("BEGIN IMMEDIATE")
        await driver.execute("INSERT INTO t VALUES (1)")
    async with database.unit() as uow:
        assert await uow.session.scalar(text("SELECT count(*) FROM t")) == 0
    await database.close()


def test_a_migration_can_leave_its_transaction(postgres_url: str) -> None:
    """An index is made beside writers only outside of a transaction; what follows has one again, and can be rolled back."""

    def migrate(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True, "transactional_ddl": True})
        with context.begin_transaction(_per_migration=True):
            connection.execute(text("CREATE TABLE things (id int)"))
            with context.autocommit_block():
                connection.execute(text("CREATE INDEX CONCURRENTLY things_id ON things (id)"))
            connection.execute(text("INSERT INTO things VALUES (1)"))
            connection.rollback()
        assert connection.execute(text("SELECT count(*) FROM things")).scalar_one() == 0

    async def main() -> None:
        engine = create_engine(postgres_url)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(migrate)
        finally:
            await engine.dispose()

    asyncio.run(main())
