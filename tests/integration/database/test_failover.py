"""A server that was the primary and takes no writes any more, while the pool still holds connections to it."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from fastness.database import UNAVAILABLE, Database, PoolSize, UnitOfWork
from fastness.database.bounds import Statement

ADD = "INSERT INTO orders (id) VALUES (1)"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A database of which the first two connections were made before the failover, and later ones after it."""
    made = Database(postgres_url, pool=PoolSize(kept=2, overflow=0, wait=10))
    async with made.unit() as uow:
        await uow.session.execute(text("CREATE TABLE orders (id integer)"))
    await made.engine.dispose()
    before = [1, 2]

    @event.listens_for(made.engine.sync_engine, "connect")
    def demote(connection: Any, _: Any) -> None:
        if before:
            before.pop()
            connection.cursor().execute("SET default_transaction_read_only = on")

    async with made.unit().reading() as one, made.unit().reading() as other:
        await one.session.execute(text("SELECT 1"))
        await other.session.execute(text("SELECT 1"))
    assert not before
    yield made
    await made.close()


async def _write(uow: UnitOfWork) -> None:
    async with uow:
        await uow.session.execute(text(ADD))


async def _write_and_go_on(uow: UnitOfWork) -> None:
    async with uow:
        try:
            await uow.session.execute(text(ADD))
        except DBAPIError:
            await uow.session.execute(text("SELECT 1"))


async def _write_with_the_begin(uow: UnitOfWork) -> None:
    await uow.begin(Statement(ADD, {}))
    await uow.__aexit__(None, None, None)


async def _write_with_the_commit(uow: UnitOfWork) -> None:
    async with uow:
        uow.finish_with(Statement(ADD, {}))


async def _orders(database: Database) -> int:
    async with database.unit().reading() as uow:
        return int(await uow.session.scalar(text("SELECT count(*) FROM orders")) or 0)


@pytest.mark.parametrize("write", [_write, _write_with_the_begin, _write_with_the_commit])
async def test_a_refused_write_finds_the_primary(database: Database, write: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It says that the database is not available, and each refusal replaces one connection that does not write."""
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(UNAVAILABLE, match="read-only transaction"):
                await write(database.unit())
        for _ in range(3):
            await write(database.unit())
    assert await _orders(database) == 3
    assert caplog.records == []


async def test_whoever_catches_the_refusal_commits_nothing(database: Database) -> None:
    """The transaction is gone with its connection."""
    with pytest.raises(PendingRollbackError):
        await _write_and_go_on(database.unit())
    assert await _orders(database) == 0


async def test_readers_keep_their_connections(database: Database) -> None:
    """A standby reads as well as its primary, and writing in a reading unit is a fault of the code."""
    reads = text("SHOW default_transaction_read_only")
    for _ in range(4):
        async with database.unit().reading() as uow:
            assert await uow.session.scalar(reads) == "on"
        with pytest.raises(DBAPIError) as refused:
            async with database.unit().reading() as uow:
                await uow.session.execute(text(ADD))
        assert not isinstance(refused.value, UNAVAILABLE)
