"""Units of work on real databases: what is committed, what is undone, and what is refused."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from sqlalchemy import ForeignKey, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from fastness import context
from fastness.context import RequestContext
from fastness.database import Database, PoolSize, UnitError, UnitOfWork, bounds, unit
from fastness.database.bounds import Statement
from fastness.telemetry import instrument


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]
    lines: Mapped[list["Line"]] = relationship(back_populates="order")


class Line(Base):
    __tablename__ = "lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    order: Mapped[Order] = relationship(back_populates="lines")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The database with its tables and one order of 5."""
    made = Database(database_url, pool=PoolSize(kept=3, overflow=2, wait=30))
    await made.open()
    async with made.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Order).values(id=1, amount=5))
        await connection.execute(insert(Line).values(id=1, order_id=1))
    yield made
    await made.close()


async def _orders(database: Database) -> list[int]:
    async with database.unit().reading() as uow:
        return list(await uow.session.scalars(select(Order.id).order_by(Order.id)))


async def test_a_block_commits_at_its_end(database: Database) -> None:
    """What a block wrote is there afterwards, and the unit can be used again."""
    uow = database.unit()
    for number in (2, 3):
        async with uow:
            uow.session.add(Order(id=number, amount=1))
    assert await _orders(database) == [1, 2, 3]
    assert not uow.open


async def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    """An error undoes the whole block and passes."""
    uow = database.unit()
    with pytest.raises(KeyError):
        async with uow:
            uow.session.add(Order(id=2, amount=1))
            await uow.session.flush()
            raise KeyError
    assert await _orders(database) == [1]


async def test_an_inner_block_joins_the_outer_one(database: Database) -> None:
    """Only the outermost block commits."""
    uow = database.unit()
    with pytest.raises(KeyError):
        async with uow:
            async with uow as inner:
                inner.session.add(Order(id=2, amount=1))
            async with uow.reading():
                assert await uow.session.scalar(select(func.count()).select_from(Order)) == 2
            raise KeyError
    assert await _orders(database) == [1]


async def test_an_inner_block_raises_its_own_errors(database: Database) -> None:
    """What it wrote is sent at its end, so that a service behaves alike with and without an outer block around it."""
    uow = database.unit()
    async with uow:
        async with uow:
            uow.session.add(Order(id=2, amount=1))
        assert await uow.session.scalar(select(func.count()).select_from(Order)) == 2
    with pytest.raises(IntegrityError):
        async with uow:
            try:
                async with uow:
                    uow.session.add(Order(id=1, amount=1))
            except IntegrityError:
                uow.discard()
                raise
    with pytest.raises(UnitError, match="nothing was committed"):
        async with uow:
            with pytest.raises(IntegrityError):
                async with uow:
                    uow.session.add(Order(id=1, amount=1))
            uow.session.expunge_all()
    assert await _orders(database) == [1, 2]


async def test_an_error_caught_between_blocks_does_not_commit_half(database: Database) -> None:
    """The outer block refuses to commit what an inner block left undone, and says why."""
    uow = database.unit()
    with pytest.raises(UnitError, match="inner block raised KeyError"):
        async with uow:
            uow.session.add(Order(id=2, amount=1))
            try:
                async with uow:
                    raise KeyError
            except KeyError:
                pass
    assert await _orders(database) == [1]


async def test_a_savepoint_fails_alone(database: Database) -> None:
    """What failed within a savepoint is undone, together with what was to follow its commit; the rest is committed."""
    uow, told = database.unit(), []
    async with uow:
        uow.session.add(Order(id=2, amount=1))
        await uow.session.flush()
        uow.on_commit(lambda: told.append("outer"))
        with pytest.raises(IntegrityError):
            async with uow.savepoint():
                uow.on_commit(lambda: told.append("inner"))
                uow.session.add(Order(id=2, amount=2))
                await uow.session.flush()
        with pytest.raises(KeyError):
            async with uow.savepoint(), uow:
                raise KeyError
        uow.session.add(Order(id=3, amount=1))
    assert await _orders(database) == [1, 2, 3]
    assert told == ["outer"]


async def test_an_error_of_the_database_that_is_caught_dooms_the_unit(database: Database) -> None:
    """The session has rolled back by then, so that the rest of the block would be committed without its beginning."""
    uow = database.unit()
    with pytest.raises(UnitError, match="rolled back"):
        async with uow:
            uow.session.add(Order(id=2, amount=1))
            await uow.session.flush()
            uow.session.add(Order(id=1, amount=1))
            with pytest.raises(IntegrityError):
                await uow.session.flush()
            uow.session.expunge_all()
    assert await _orders(database) == [1]


async def test_a_statement_that_failed_unseen_loses_nothing(database: Database) -> None:
    """PostgreSQL would take the commit without an error and make a rollback of it; SQLite undoes that statement alone."""
    kept = database.dialect == "sqlite"
    uow = database.unit()
    told: list[int] = []
    with nullcontext() if kept else pytest.raises(UnitError, match="a statement failed"):
        async with uow:
            uow.on_commit(lambda: told.append(2))
            await uow.session.execute(insert(Order).values(id=2, amount=1))
            with pytest.raises(IntegrityError):
                await uow.session.execute(insert(Order).values(id=1, amount=1))
    assert (await _orders(database), told) == (([1, 2], [2]) if kept else ([1], []))


async def _commit(uow: UnitOfWork) -> None:
    await uow.session.commit()


async def _rollback(uow: UnitOfWork) -> None:
    await uow.session.rollback()


async def _close(uow: UnitOfWork) -> None:
    await uow.session.close()


async def _rollback_in_a_savepoint(uow: UnitOfWork) -> None:
    with pytest.raises(KeyError):
        async with uow.savepoint():
            await uow.session.rollback()
            raise KeyError


ENDS = [
    (_commit, "commit"),
    (_rollback, "rolled back"),
    (_close, "rolled back"),
    (_rollback_in_a_savepoint, "rolled back"),
]


@pytest.mark.parametrize(("end", "says"), ENDS, ids=[end.__name__[1:] for end, _ in ENDS])
async def test_ending_the_transaction_by_hand_is_refused(
    database: Database, end: Callable[[UnitOfWork], Awaitable[None]], says: str
) -> None:
    """A block cannot be promised to be one transaction when something inside of it ends that, whatever comes afterwards."""
    uow = database.unit()
    with pytest.raises(UnitError, match=says):
        async with uow:
            uow.session.add(Order(id=2, amount=1))
            await uow.session.flush()
            await end(uow)
            uow.session.add(Order(id=3, amount=1))
            await uow.session.flush()
    assert await _orders(database) == [1]


async def test_ending_the_transaction_by_a_statement_is_noticed(database: Database) -> None:
    """It passes SQLAlchemy by; the block does not end as if all of it were there."""
    uow = database.unit()
    with pytest.raises(UnitError, match="COMMIT and ROLLBACK"):
        async with uow:
            await uow.session.execute(insert(Order).values(id=2, amount=1))
            await uow.session.execute(text("ROLLBACK"))
    assert await _orders(database) == [1]


async def test_what_follows_a_commit(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks run after the commit, not after a rollback, and an error in one neither undoes it nor stops the others."""
    uow = database.unit()
    told: list[object] = []
    async with uow:
        uow.session.add(Order(id=2, amount=1))
        uow.on_commit(lambda: 1 / 0)
        uow.on_commit(lambda: told.append(uow.open))
    assert told == [False]
    assert "the commit stands" in caplog.text
    async with uow:
        uow.on_commit(lambda: told.append("discarded"))
        uow.discard()
    with pytest.raises(KeyError):
        async with uow:
            uow.on_commit(lambda: told.append("raised"))
            raise KeyError
    assert told == [False]
    with pytest.raises(UnitError, match="not open"):
        uow.on_commit(lambda: None)


async def test_discarded_work_is_rolled_back_quietly(database: Database) -> None:
    """A unit that is told to discard ends well and leaves nothing; the next block commits again."""
    uow = database.unit()
    async with uow:
        uow.session.add(Order(id=2, amount=1))
        uow.discard()
    assert await _orders(database) == [1]
    async with uow:
        uow.session.add(Order(id=2, amount=1))
    assert await _orders(database) == [1, 2]


def _order(database: Database, number: int) -> Statement:
    named = ":number" if database.dialect == "sqlite" else "%(number)s"
    return Statement(f"INSERT INTO orders (id, amount) VALUES ({named}, 1)", {"number": number})


async def test_statements_go_along_with_the_begin_and_the_commit(database: Database) -> None:
    """The first ones are executed in the transaction and give their rows, the last ones after all that the block wrote."""
    count = Statement("SELECT count(*), 'it''s' FROM orders", {})
    nothing = Statement("SELECT id FROM orders WHERE id = 9", {})
    uow = database.unit()
    assert await uow.begin(count, _order(database, 2), count, nothing) == [(1, "it's"), (2, "it's"), None]
    assert (await uow.session.scalars(select(Order.id).order_by(Order.id))).all() == [1, 2]
    uow.session.add(Order(id=3, amount=1))
    add = Statement("UPDATE orders SET amount = amount + (SELECT count(*) FROM orders)", {})
    uow.finish_with(_order(database, 4), _order(database, 5), add)
    assert await _orders(database) == [1]
    await uow.__aexit__(None, None, None)
    assert await _orders(database) == [1, 2, 3, 4, 5]
    async with uow:  # the next transaction has none of them
        assert sorted(await uow.session.scalars(select(Order.amount))) == [6, 6, 6, 6, 10]
    assert await _orders(database) == [1, 2, 3, 4, 5]


async def test_a_statement_that_fails_with_the_begin_opens_nothing(database: Database) -> None:
    """Its error is the database's, and every connection can be used again."""
    for _ in range(2 * database.pool.most):
        uow = database.unit()
        with pytest.raises(IntegrityError):
            await uow.begin(_order(database, 2), _order(database, 1))
        assert not uow.open
    assert await _orders(database) == [1]


async def test_a_statement_that_fails_with_the_commit_undoes_all(database: Database) -> None:
    """Nothing of the block is committed, what was to follow its commit does not, and every connection can be used again."""
    followed: list[int] = []
    for _ in range(2 * database.pool.most):
        uow = database.unit()
        with pytest.raises(IntegrityError):
            async with uow:
                uow.session.add(Order(id=2, amount=1))
                uow.on_commit(lambda: followed.append(1))
                uow.finish_with(_order(database, 3), _order(database, 1))
        assert not uow.open
    assert (await _orders(database), followed) == ([1], [])


async def test_statements_that_go_along_have_parameters_of_their_own(database: Database) -> None:
    """Also where two of them name theirs alike, and where a value looks like a statement, or a parameter."""
    nasty = ["'; ROLLBACK; --", "%(number)s %s %% :number", "\\", "\\'\"$$", "\N{SNOWMAN}"]
    named = ":text" if database.dialect == "sqlite" else "%(text)s"
    echoes = [Statement(f"SELECT CAST({named} AS TEXT)", {"text": value}) for value in nasty]
    uow = database.unit()
    assert await uow.begin(*echoes) == [(value,) for value in nasty]
    uow.finish_with(_order(database, 2), _order(database, 3))
    await uow.__aexit__(None, None, None)
    assert await _orders(database) == [1, 2, 3]


async def test_statements_that_go_along_are_traced(database: Database) -> None:
    """As any other, without their parameters, also when they fail."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument.sqlalchemy(database.engine, tracer_provider=provider)
    first, last = Statement("SELECT count(*) FROM orders", {}), _order(database, 2)
    for _ in range(2):
        with provider.get_tracer("test").start_as_current_span("request"), suppress(IntegrityError):
            uow = database.unit()
            await uow.begin(first)
            uow.finish_with(last)
            await uow.__aexit__(None, None, None)
    spans = [span for span in exporter.get_finished_spans() if span.name != "request"]
    shown = [str((span.attributes or {})["db.query.text"]) for span in spans]
    for statement in (first, last):
        assert sum(statement.text in text for text in shown) == 2, shown


async def test_statements_need_a_place(database: Database) -> None:
    """They begin a transaction or end one that is open."""
    uow = database.unit()
    with pytest.raises(UnitError, match="not open"):
        uow.finish_with(_order(database, 2))
    async with uow:
        with pytest.raises(UnitError, match="open already"):
            await uow.begin(_order(database, 2))
    assert await _orders(database) == [1]


async def test_a_statement_that_goes_along_is_bounded_as_its_transaction(postgres_url: str) -> None:
    """On PostgreSQL it has the isolation level of the unit and what is left of the deadline."""
    database = Database(postgres_url)
    request = RequestContext("a", "a" * 32)
    request.deadline = asyncio.get_running_loop().time() + 1000
    with context.within(request):
        uow = database.unit(isolation="SERIALIZABLE")
        limit = "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"
        rows = await uow.begin(Statement("SHOW transaction_isolation", {}), Statement(limit, {}))
        await uow.__aexit__(None, None, None)
        assert rows[0] == ("serializable",)
        assert 0 < rows[1][0] <= 1_000_000
        request.deadline = asyncio.get_running_loop().time() + 0.05
        with pytest.raises(DBAPIError, match="statement timeout"):
            await uow.begin(Statement(SLOW["postgresql"], {}))
    await database.close()


async def test_a_reading_unit_cannot_write(database: Database) -> None:
    """Neither through objects, nor statements, nor by joining as a writer."""
    uow = database.unit()
    with pytest.raises(UnitError, match="reading unit"):
        async with uow.reading():
            uow.session.add(Order(id=2, amount=1))
            await uow.session.flush()
    with pytest.raises(UnitError, match="reading unit"):
        async with uow.reading():
            await uow.session.execute(update(Order).values(amount=0))
    with pytest.raises(UnitError, match="reading unit"):
        async with uow.reading(), uow:
            pass
    if database.dialect == "postgresql":
        with pytest.raises(DBAPIError, match="read-only"):
            async with uow.reading():
                await uow.session.execute(text("UPDATE orders SET amount = 0"))
    async with uow.reading():
        assert await uow.session.scalar(select(Order.amount)) == 5


async def test_lazy_loading_is_an_error(database: Database) -> None:
    """What a query did not load raises an error that names it; what it did load is there, also after the unit."""
    uow = database.unit()
    async with uow.reading():
        order = await uow.session.get_one(Order, 1)
        with pytest.raises(UnitError, match=r"Order\.lines was not loaded"):
            await uow.session.run_sync(lambda _: order.lines)
        with pytest.raises(UnitError, match=r"Order\.lines was not loaded"):
            order.lines  # noqa: B018
    async with uow.reading():
        loaded = await uow.session.get_one(Order, 1, options=[selectinload(Order.lines)])
    assert [line.id for line in loaded.lines] == [1]


async def test_a_unit_belongs_to_one_task(database: Database) -> None:
    """Two tasks on one session would mix their statements."""
    uow = database.unit()

    async def work() -> None:
        async with uow:
            pass

    async with uow:
        with pytest.raises(UnitError, match="another task"):
            await asyncio.create_task(work())


async def test_a_second_connection_of_one_task_is_reported(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each place, and counted each time; a unit that joins, or follows, is none."""
    counted = REGISTRY.get_sample_value("fastness_database_second_connections_total", {"pool": database.name}) or 0
    with caplog.at_level(logging.WARNING, "fastness.database"):
        for _ in range(2):
            async with database.unit().reading(), database.unit().reading():
                pass
        async with database.unit() as uow, uow:
            pass
    (record,) = caplog.records
    assert __file__ in record.getMessage()
    assert REGISTRY.get_sample_value("fastness_database_second_connections_total", {"pool": database.name}) == counted + 2


async def test_read_modify_write_loses_nothing(database: Database) -> None:
    """100 concurrent increments that read before they write end at 100."""

    async def increment() -> None:
        async with database.unit() as uow:
            order = await uow.session.get_one(Order, 1, with_for_update=True)
            await asyncio.sleep(0)
            order.amount += 1

    async with asyncio.timeout(60):
        await asyncio.gather(*(increment() for _ in range(100)))
    async with database.unit().reading() as uow:
        assert await uow.session.scalar(select(Order.amount)) == 105


async def test_a_conflict_is_repeated(database: Database) -> None:
    """Two serializable units that conflict both succeed in the end, when they are declared repeatable."""
    both_have_read = asyncio.Barrier(2)
    attempts = 0

    async def add(uow: UnitOfWork) -> None:
        nonlocal attempts
        attempts += 1
        total = await uow.session.scalar(select(func.sum(Order.amount)))
        if attempts <= 2 and database.dialect == "postgresql":
            await both_have_read.wait()
        uow.session.add(Order(id=attempts + 1, amount=total or 0))

    async with asyncio.timeout(30):
        await asyncio.gather(*(database.unit(isolation="SERIALIZABLE").run(add) for _ in range(2)))
    assert attempts == (3 if database.dialect == "postgresql" else 2)
    async with database.unit().reading() as uow:
        assert sorted(await uow.session.scalars(select(Order.amount))) == [5, 5, 10]


async def test_a_deadlock_is_repeated(postgres_url: str) -> None:
    """Of two units that wait for each other PostgreSQL ends one, which then finds what the other has written."""
    database = Database(postgres_url, name="deadlocked")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Order), [{"id": 1, "amount": 0}, {"id": 2, "amount": 0}])
    both_have_one = asyncio.Barrier(2)
    attempts = 0

    def add(numbers: tuple[int, int]) -> Callable[[UnitOfWork], Awaitable[None]]:
        async def work(uow: UnitOfWork) -> None:
            nonlocal attempts
            attempts += 1
            for number in numbers:
                await uow.session.execute(update(Order).where(Order.id == number).values(amount=Order.amount + 1))
                if attempts <= 2 and number == numbers[0]:
                    await both_have_one.wait()

        return work

    async with asyncio.timeout(60):
        await asyncio.gather(*(database.unit().run(add(numbers)) for numbers in ((1, 2), (2, 1))))
    async with database.unit().reading() as uow:
        assert list(await uow.session.scalars(select(Order.amount))) == [2, 2]
    await database.close()
    assert (attempts, REGISTRY.get_sample_value("fastness_database_repeats_total", {"pool": "deadlocked"})) == (3, 1)


async def test_waiting_for_a_connection_is_measured(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From when it is asked for to when it is there, and not until the transaction has begun."""
    now = [0.0]
    monkeypatch.setattr(unit, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bounds, "perf_counter", lambda: now[0])
    database = Database(database_url, pool=PoolSize(kept=1, overflow=0, wait=30), name=f"waited for on {database_url[:6]}")

    async def read() -> None:
        async with database.unit().reading():
            pass

    async with database.unit().reading():
        waiting = asyncio.create_task(read())
        await asyncio.sleep(0)
        now[0] = 3.0
    await waiting
    await database.close()
    wait, pool = "fastness_database_wait_seconds", {"pool": database.name}
    assert [REGISTRY.get_sample_value(f"{wait}_{what}", pool) for what in ("count", "sum")] == [2, 3.0]


async def test_other_errors_are_not_repeated(database: Database) -> None:
    """A violated constraint would be violated again."""
    attempts = 0

    async def add(uow: UnitOfWork) -> None:
        nonlocal attempts
        attempts += 1
        await uow.session.execute(insert(Order).values(id=1, amount=1))

    with pytest.raises(IntegrityError):
        await database.unit().run(add)
    assert attempts == 1


SLOW = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
}


@pytest.mark.parametrize("delay", [0, 0.2])
async def test_cancelling_a_unit_ends_its_statement(database: Database, delay: float) -> None:
    """The statement is stopped where it runs, or before it runs, so that its locks are free for the next."""
    begun = asyncio.Event()

    async def work() -> None:
        async with database.unit() as uow:
            await uow.session.execute(update(Order).values(amount=0))
            begun.set()
            await uow.session.execute(text(SLOW[database.dialect]))

    task = asyncio.create_task(work())
    async with asyncio.timeout(30):
        await begun.wait()
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20), database.unit() as uow:
        await uow.session.execute(update(Order).values(amount=Order.amount + 1))
    async with database.unit().reading() as uow:
        assert await uow.session.scalar(select(Order.amount)) == 6


async def test_statements_are_limited_to_the_deadline(postgres_url: str) -> None:
    """PostgreSQL is told how long a statement may take, in the round trip that begins the transaction."""
    database = Database(postgres_url)
    request = RequestContext("a", "a" * 32)
    request.deadline = asyncio.get_running_loop().time() + 1000
    with context.within(request):
        async with database.unit().reading() as uow:
            limit = await uow.session.scalar(text("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"))
        assert 0 < limit <= 1_000_000
        request.deadline = asyncio.get_running_loop().time() + 0.05
        with pytest.raises(DBAPIError, match="statement timeout"):
            async with database.unit() as uow:
                await uow.session.execute(text(SLOW["postgresql"]))
    await database.close()
