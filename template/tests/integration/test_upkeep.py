"""Looking after deliveries whose job is no more, and after old events. Each test on SQLite and on PostgreSQL."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from fastness.database import Database
from fastness.jobs import JobState
from sqlalchemy import text

from app import worker
from app.core.config import Settings
from app.domain.deliveries import Attempt, Delivery, DeliveryStatus, EndReason
from app.domain.endpoints import Endpoint
from app.domain.errors import NotFound
from app.domain.events import Event
from app.domain.ids import uuid7
from app.domain.services.deliveries import DeliveryService
from app.domain.services.upkeep import Upkeep
from app.infra.db.uow import SqlUnitOfWork
from app.infra.jobs import tasks
from app.infra.relay import Relay
from tests.integration.receiver import receiving

DAY = timedelta(days=1)


class Store:
    """The service's database, and an upkeep that comes by later."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.relay = Relay(settings, database)
        self.now = datetime.now(UTC)
        self.upkeep = Upkeep(self.unit, measures=self.relay.measures, keep=90 * DAY, clock=lambda: self.now)

    def unit(self) -> SqlUnitOfWork:
        return self.relay.unit_of_work(self.database.unit())

    async def subscribe(self, url: str = "https://example.com/hook") -> Endpoint:
        now = datetime.now(UTC)
        endpoint = Endpoint(
            id=_id(now),
            tenant="acme",
            url=url,
            description="",
            event_types=("*",),
            secret="whsec_" + "A" * 43 + "=",
            created_at=now,
            updated_at=now,
        )
        async with self.unit() as uow:
            await uow.endpoints.add(endpoint)
        return endpoint

    async def accept(self, endpoint: Endpoint, *, age: timedelta = timedelta(), deliveries: int = 1) -> list[Delivery]:
        """An event of that age with so many deliveries, promised as the service does it."""
        at = datetime.now(UTC) - age
        event = Event.create(id=_id(at), tenant="acme", type="order.paid", payload={}, at=at)
        ids = {"event_id": event.id, "endpoint_id": endpoint.id}
        async with self.unit() as uow:
            await uow.events.add(event)
            made = await uow.queue.enqueue(
                [Delivery.create(id=_id(at), tenant="acme", at=at, **ids) for _ in range(deliveries)]
            )
            await uow.deliveries.add(made)
        return list(made)

    async def end(self, *deliveries: Delivery) -> None:
        """With one attempt each."""
        async with self.unit() as uow:
            for delivery in deliveries:
                await uow.deliveries.save(delivery.cancel(EndReason.ENDPOINT_DISABLED, at=self.now))
                await uow.deliveries.add_attempt(delivery.id, Attempt(1, self.now, 0.1, 500, None, ""))

    async def get(self, delivery: Delivery) -> Delivery | None:
        async with self.unit().reading() as uow:
            return await uow.deliveries.get("acme", delivery.id)

    async def count(self, table: str) -> int:
        async with self.database.unit().reading() as uow:
            return int(await uow.session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)

    async def jobs(self) -> list[int]:
        async with self.database.unit().reading() as uow:
            return sorted(job.id for job in await self.relay.jobs.find(uow, task="deliver"))


def _id(at: datetime) -> UUID:
    return uuid7(nanoseconds=int(at.timestamp() * 1e9), entropy=_numbers.pop())


_numbers = list(range(10_000))


@pytest.fixture
def store(database: Database, settings: Settings) -> Store:
    return Store(database, settings)


@pytest.fixture
def job_table(settings: Settings) -> str:
    sqlite = settings.database_url.get_secret_value().startswith("sqlite")
    return "fastness_jobs" if sqlite else "procrastinate_jobs"


async def test_each_delivery_without_a_job_comes_to_an_end_or_to_a_job(store: Store, job_table: str) -> None:
    """By what became of its job: waiting, cancelled by hand, failed, pruned. Run again, nothing more happens."""
    endpoint = await store.subscribe()
    waiting, withdrawn, broken, pruned = [(await store.accept(endpoint))[0] for _ in range(4)]
    before = await store.jobs()
    failed = "state" if job_table == "fastness_jobs" else "status"
    async with store.database.unit() as uow:
        assert withdrawn.ticket is not None
        await store.relay.jobs.cancel(uow, withdrawn.ticket)
        await uow.session.execute(text(f"UPDATE {job_table} SET {failed} = 'failed' WHERE id = {broken.ticket}"))
        await uow.session.execute(text(f"DELETE FROM {job_table} WHERE id = {pruned.ticket}"))
    assert await store.upkeep.recover() == 0  # nothing is late yet
    store.now += timedelta(minutes=6)
    assert [await store.upkeep.recover() for _ in range(2)] == [3, 0]
    assert await store.get(waiting) == waiting
    for delivery, status, reason in (
        (withdrawn, DeliveryStatus.CANCELLED, EndReason.WITHDRAWN),
        (broken, DeliveryStatus.FAILED, EndReason.ABANDONED),
    ):
        found = await store.get(delivery)
        assert found is not None
        assert (found.status, found.reason, found.due_at) == (status, reason, None)
    [added] = set(await store.jobs()) - set(before)
    assert await store.get(pruned) == replace(pruned, ticket=added)


async def test_a_cancelled_job_that_is_retried_makes_the_delivery_after_all(store: Store, settings: Settings) -> None:
    """`fastness jobs retry` does what it says, also when the delivery had been ended meanwhile."""
    async with receiving() as receiver:
        [delivery] = await store.accept(await store.subscribe(receiver.url))
        assert delivery.ticket is not None
        async with store.database.unit() as uow:
            await store.relay.jobs.cancel(uow, delivery.ticket)
        store.now += timedelta(minutes=6)
        await tasks.recover_deliveries(store.upkeep)
        async with store.database.unit() as uow:
            assert await store.relay.jobs.retry(uow, delivery.ticket)
        async with worker.make_resources(settings).lifespan(), asyncio.timeout(60):
            while True:
                async with store.database.unit().reading() as reading:
                    job = await store.relay.jobs.get(reading, delivery.ticket)
                assert job is not None
                if job.state is JobState.SUCCEEDED:
                    break
                await asyncio.sleep(0.02)
    found = await store.get(delivery)
    assert found is not None
    assert (found.status, found.reason) == (DeliveryStatus.SUCCEEDED, None)
    assert len(receiver.requests) == 1


async def test_clients_see_why_a_delivery_ended(store: Store, client: httpx2.AsyncClient) -> None:
    """The service has given up on it, which is not the receiver's fault."""
    [delivery] = await store.accept(await store.subscribe())
    assert delivery.ticket is not None
    async with store.unit() as uow:
        await uow.deliveries.save(delivery.abandon(at=store.now))
    [shown] = (await client.get("/v1/deliveries")).json()["items"]
    assert (shown["status"], shown["reason"]) == ("failed", "abandoned")


async def test_old_events_go_with_all_that_came_of_them(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Not one with a delivery under way, and none that is not old; nothing is left behind of what went."""
    endpoint = await store.subscribe()
    await store.end(*await store.accept(endpoint, age=91 * DAY, deliveries=2))
    await store.accept(endpoint, age=91 * DAY, deliveries=0)
    under_way, ended = await store.accept(endpoint, age=91 * DAY, deliveries=2)
    young = await store.accept(endpoint, age=89 * DAY)
    await store.end(ended, *young)
    with caplog.at_level(logging.INFO, tasks.logger.name):
        await tasks.remove_old_events(store.upkeep)
        await tasks.remove_old_events(store.upkeep)
    assert [record.getMessage() for record in caplog.records] == ["2 old events were removed"]
    assert [await store.count(table) for table in ("events", "deliveries", "attempts")] == [2, 3, 2]
    assert await store.get(under_way) == under_way


async def test_old_events_go_in_batches(store: Store) -> None:
    """Each transaction is short: it takes the oldest, and no more than it is told."""
    endpoint = await store.subscribe()
    ages = [95, 91, 94, 92, 93]
    for age in ages:
        await store.end(*await store.accept(endpoint, age=age * DAY))
    before, counts = store.now - 90 * DAY, []
    for _ in range(3):
        async with store.unit() as uow:
            counts.append(await uow.events.remove(before=before, limit=2))
        async with store.unit().reading() as uow:
            left = (await uow.events.list("acme", type=None, limit=10, before=None)).items
        assert [round((store.now - event.created_at) / DAY) for event in left] == sorted(ages)[: len(left)]
    assert counts == [2, 2, 1]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_an_event_is_not_removed_under_a_retry(store: Store) -> None:
    """Whoever comes first has it: a retry that has begun keeps the event, and one that comes later finds nothing."""
    endpoint = await store.subscribe()
    first = await store.accept(endpoint, age=91 * DAY)
    second = await store.accept(endpoint, age=91 * DAY, deliveries=2)
    await store.end(*first, *second)
    before = store.now - 90 * DAY
    async with store.unit() as uow:
        retried = await uow.deliveries.get("acme", second[0].id, for_update=True)
        assert retried is not None
        async with store.unit() as other, asyncio.timeout(60):
            assert await other.events.remove(before=before, limit=10) == 1
        await uow.deliveries.save(retried.retry(at=store.now))
    async with store.unit() as other:
        assert await other.events.remove(before=before, limit=10) == 0
    assert await store.count("deliveries") == 2


async def test_a_retry_of_what_was_removed_finds_nothing(store: Store) -> None:
    """As of anything that is not there."""
    [delivery] = await store.accept(await store.subscribe(), age=91 * DAY)
    await store.end(delivery)
    assert await store.upkeep.remove_old() == 1
    with pytest.raises(NotFound):
        await DeliveryService(store.unit()).retry("acme", delivery.id)


async def test_what_keeps_order_is_done_by_the_clock() -> None:
    """Every few minutes and every hour, by one worker."""
    assert {item.task for item in tasks.PERIODIC} >= {tasks.recover_deliveries, tasks.remove_old_events}
