"""What Relay keeps in the database: transactions, secrets, promises, pages. Each test on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastness.database import Database, SchemaBehind, UnitError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from app.core.config import Settings
from app.domain.deliveries import Delivery
from app.domain.endpoints import DisabledReason, Endpoint
from app.domain.events import Event
from app.domain.ids import new_id
from app.infra.db.models import DeliveryRow
from app.infra.db.uow import SqlUnitOfWork
from app.infra.relay import Relay

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


class Units:
    """Makes units of work, as the service does."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._relay = Relay(settings, database)
        self.jobs = self._relay.jobs

    def __call__(self) -> SqlUnitOfWork:
        return self._relay.unit_of_work(self._database.unit())


@pytest.fixture
def units(database: Database, settings: Settings) -> Units:
    return Units(database, settings)


def make_endpoint(tenant: str = "acme") -> Endpoint:
    return Endpoint(
        id=new_id(),
        tenant=tenant,
        url="https://example.com/hook?a=b",
        description="with \N{SNOWMAN}",
        event_types=("order.*", "*"),
        secret="whsec_first",
        created_at=NOW,
        updated_at=NOW,
    )


async def add_delivery(units: Units) -> Delivery:
    endpoint = make_endpoint()
    event = Event.create(id=new_id(), tenant="acme", type="order.paid", payload={"b": 1.50, "a": 10**30}, at=NOW)
    delivery = Delivery.create(id=new_id(), tenant="acme", event_id=event.id, endpoint_id=endpoint.id, at=NOW)
    async with units() as uow:
        await uow.endpoints.add(endpoint)
        await uow.events.add(event)
        await uow.deliveries.add([delivery])
    return delivery


async def test_a_hundred_writers_lose_no_update(units: Units) -> None:
    """Each reads, gives way, and writes what it read plus one; no one writes over another."""
    endpoint = make_endpoint()
    async with units() as uow:
        await uow.endpoints.add(endpoint)

    async def increment() -> None:
        while True:
            async with units() as uow:
                found = await uow.endpoints.get("acme", endpoint.id)
                assert found is not None
                await asyncio.sleep(0)
                if await uow.endpoints.save(replace(found, version=found.version + 1), replacing=found.version):
                    return

    await asyncio.gather(*(increment() for _ in range(99)))
    async with units().reading() as uow:
        found = await uow.endpoints.get("acme", endpoint.id)
    assert found is not None
    assert found.version == 100


async def test_what_is_stored_comes_back(units: Units) -> None:
    """Every field, to the microsecond and in UTC; secrets are unreadable in between."""
    failing = replace(make_endpoint(), failing_since=NOW, disabled_reason=DisabledReason.FAILING)
    endpoint = failing.rotate("whsec_second", at=NOW, overlap=timedelta(hours=1))
    delivery = await add_delivery(units)
    async with units() as uow:
        await uow.endpoints.add(endpoint)
    async with units().reading() as uow:
        assert await uow.endpoints.get("acme", endpoint.id) == endpoint
        assert await uow.deliveries.get("acme", delivery.id) == delivery
        event = await uow.events.get("acme", delivery.event_id)
    assert event is not None
    assert event.payload == '{"b":1.5,"a":1000000000000000000000000000000}'


async def test_secrets_are_sealed_in_the_table(units: Units, database: Database) -> None:
    """A copy of the database signs nothing."""
    async with units() as uow:
        await uow.endpoints.add(make_endpoint())
    async with database.unit().reading() as uow:
        assert "whsec" not in str((await uow.session.execute(text("SELECT * FROM endpoints"))).all())


async def test_an_error_rolls_everything_back(units: Units) -> None:
    """Also what was written before it."""
    endpoint = make_endpoint()

    async def fail() -> None:
        async with units() as uow:
            await uow.endpoints.add(endpoint)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with units().reading() as uow:
        assert await uow.endpoints.get("acme", endpoint.id) is None


async def test_cancelling_rolls_back_and_gives_the_connection_back(units: Units, database: Database) -> None:
    """A client that goes away, or a deadline, in the middle of a transaction."""
    endpoint = make_endpoint()
    begun = asyncio.Event()

    async def stall() -> None:
        async with units() as uow:
            await uow.endpoints.add(endpoint)
            begun.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(stall())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with units().reading() as uow:
        assert await uow.endpoints.get("acme", endpoint.id) is None
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_deleted_endpoint_takes_its_deliveries_along(units: Units) -> None:
    """Foreign keys hold on SQLite too."""
    delivery = await add_delivery(units)
    async with units() as uow:
        endpoint = await uow.endpoints.get("acme", delivery.endpoint_id)
        assert endpoint is not None
        assert await uow.endpoints.delete(endpoint)
    async with units().reading() as uow:
        assert await uow.deliveries.get("acme", delivery.id) is None
    with pytest.raises(IntegrityError):
        async with units() as uow:
            await uow.deliveries.add([delivery])


async def test_nothing_is_loaded_by_accident(units: Units, database: Database) -> None:
    """A relationship that was not asked for raises instead of querying once for each row."""
    delivery = await add_delivery(units)
    async with database.unit().reading() as uow:
        row = await uow.session.get_one(DeliveryRow, delivery.id)
        with pytest.raises(InvalidRequestError, match="raise"):
            _ = row.event


async def test_a_reading_unit_does_not_write(units: Units) -> None:
    """What only reads waits for no writer, and so must not be one."""
    with pytest.raises(UnitError, match="cannot write"):
        async with units().reading() as uow:
            await uow.endpoints.add(make_endpoint())


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_an_endpoint_is_not_deleted_under_an_event(units: Units) -> None:
    """Whoever deletes it waits until the event has its deliveries, and then takes them along."""
    endpoint = make_endpoint()
    async with units() as uow:
        await uow.endpoints.add(endpoint)

    async def remove() -> None:
        async with units() as uow:
            assert await uow.endpoints.delete(endpoint)

    async with units() as uow:
        [subscription] = await uow.endpoints.subscriptions("acme")
        removal = asyncio.create_task(remove())
        done, _ = await asyncio.wait([removal], timeout=0.2)
        assert not done
        event = Event.create(id=new_id(), tenant="acme", type="order.paid", payload={}, at=NOW)
        await uow.events.add(event)
        ids = {"event_id": event.id, "endpoint_id": subscription.endpoint_id}
        await uow.deliveries.add([Delivery.create(id=new_id(), tenant="acme", at=NOW, **ids)])
    await asyncio.wait_for(removal, 60)


async def test_a_delivery_is_promised_in_the_transaction_that_stores_it(units: Units, database: Database) -> None:
    """One job for each once it is committed, and none when it is not."""
    delivery = await add_delivery(units)

    async def promise(*, fail: bool) -> None:
        async with units() as uow:
            await uow.queue.enqueue([delivery, delivery])
            if fail:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        await promise(fail=True)
    await promise(fail=False)
    async with database.unit().reading() as uow:
        found = await units.jobs.find(uow, task="deliver")
    assert [job.arguments for job in found] == [{"delivery_id": str(delivery.id)}] * 2


async def test_pages_have_every_item_once(units: Units) -> None:
    """Newest first, also when items arrive between two pages."""
    made = [make_endpoint() for _ in range(5)]
    for endpoint in made:
        async with units() as uow:
            await uow.endpoints.add(endpoint)
            await uow.endpoints.add(make_endpoint(tenant="globex"))
    seen, before = [], None
    for _ in range(3):
        async with units() as uow:
            page = await uow.endpoints.list("acme", limit=2, before=before)
            await uow.endpoints.add(make_endpoint())
        seen += [endpoint.id for endpoint in page.items]
        before = page.next
    assert seen == sorted((endpoint.id for endpoint in made), reverse=True)
    assert before is None


async def test_the_database_is_ready_when_its_schema_is_not_behind(database: Database, database_url: str) -> None:
    """Behind is not ready. Ahead is: that is how a rolling update looks to the replicas that are still old."""
    await database.check()
    async with database.unit() as uow:
        await uow.session.execute(text("UPDATE alembic_version SET version_num = 'of the future'"))
    await database.check()
    async with database.unit() as uow:
        await uow.session.execute(text("DELETE FROM alembic_version"))
    with pytest.raises(SchemaBehind, match="fastness migrate"):
        await database.check()
    async with database.unit() as uow:
        await uow.session.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(SchemaBehind, match="no migration"):
        await database.check()


async def test_a_time_without_a_zone_is_refused(database: Database, units: Units) -> None:
    """It would be another time on another machine."""
    naive = replace(make_endpoint(), created_at=NOW.replace(tzinfo=None))
    with pytest.raises(Exception, match="time zone"):
        async with units() as uow:
            await uow.endpoints.add(naive)
