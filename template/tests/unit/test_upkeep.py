"""Looking after deliveries and events, without a database and without workers."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app.domain.deliveries import DeliveryStatus, EndReason
from app.domain.ports import Promise
from app.domain.services import upkeep as module
from app.domain.services.events import EventService
from app.domain.services.upkeep import Upkeep
from tests.unit.fakes import Clock, Memory, Tally, make_endpoint


class Bench:
    """An upkeep with one endpoint, and everything around it in memory."""

    def __init__(self, keep: timedelta | None = None) -> None:
        self.memory = Memory()
        self.clock = Clock()
        self.tally = Tally()
        made = make_endpoint(self.clock)
        self.memory.endpoint_rows[made.id] = made
        self.upkeep = Upkeep(lambda: self.memory, measures=self.tally, keep=keep, clock=self.clock)

    async def accept(self, promise: Promise = Promise.OPEN) -> UUID:
        await EventService(self.memory, measures=Tally(), clock=self.clock).accept("acme", type="a", payload={})
        delivery = list(self.memory.delivery_rows.values())[-1]
        assert delivery.ticket is not None
        self.memory.promise_rows[delivery.ticket] = promise
        return delivery.id

    def end(self, delivery_id: UUID) -> None:
        rows = self.memory.delivery_rows
        rows[delivery_id] = rows[delivery_id].cancel(EndReason.ENDPOINT_DISABLED, at=self.clock())


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("promise", "status", "reason"),
    [
        (Promise.BROKEN, DeliveryStatus.FAILED, EndReason.ABANDONED),
        (Promise.WITHDRAWN, DeliveryStatus.CANCELLED, EndReason.WITHDRAWN),
        (Promise.GONE, DeliveryStatus.PENDING, None),
    ],
)
async def test_a_delivery_that_nobody_will_make_is_ended_or_promised_again(
    bench: Bench, promise: Promise, status: DeliveryStatus, reason: EndReason | None
) -> None:
    """Once: a second look finds nothing to do. It is said why it ended, and counted."""
    delivery_id = await bench.accept(promise)
    bench.clock.advance(301)
    assert [await bench.upkeep.recover() for _ in range(2)] == [1, 0]
    found = bench.memory.delivery_rows[delivery_id]
    assert (found.status, found.reason) == (status, reason)
    assert bench.memory.enqueued[delivery_id] == (2 if status is DeliveryStatus.PENDING else 1)
    assert bench.tally.recovered == [status]


async def test_what_is_from_before_there_were_tickets_is_promised_again(bench: Bench) -> None:
    """At worst it has two jobs then, which does no harm."""
    delivery_id = await bench.accept()
    rows = bench.memory.delivery_rows
    rows[delivery_id] = replace(rows[delivery_id], ticket=None)
    bench.clock.advance(301)
    assert await bench.upkeep.recover() == 1
    assert bench.memory.enqueued[delivery_id] == 2


async def test_what_a_worker_has_or_will_have_is_left_alone(bench: Bench) -> None:
    """However late it is; and so is what is not late, and what has ended."""
    await bench.accept(Promise.OPEN)
    ended = await bench.accept(Promise.BROKEN)
    bench.end(ended)
    bench.clock.advance(86_400)
    await bench.accept(Promise.BROKEN)
    bench.clock.advance(299)
    before = dict(bench.memory.delivery_rows)
    assert await bench.upkeep.recover() == 0
    assert bench.memory.delivery_rows == before


async def test_one_that_changes_meanwhile_is_left_to_whoever_changed_it(bench: Bench) -> None:
    """A worker may settle it, or a tenant end it, between the look and the change."""
    delivery_id = await bench.accept(Promise.GONE)
    bench.clock.advance(301)
    look = bench.memory.queue.promises

    async def look_and_end(tickets: list[int]) -> object:
        found = await look(tickets)
        bench.end(delivery_id)
        return found

    bench.memory.queue.promises = look_and_end  # type: ignore[assignment]
    assert await bench.upkeep.recover() == 0
    assert bench.memory.delivery_rows[delivery_id].reason is EndReason.ENDPOINT_DISABLED
    assert bench.memory.enqueued[delivery_id] == 1


async def test_many_are_looked_at_in_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait for a worker, many as they may be, do not hide those behind them."""
    monkeypatch.setattr(module, "_LOOK", 3)
    for number in range(10):
        await bench.accept(Promise.BROKEN if number in {0, 7, 9} else Promise.OPEN)
    bench.clock.advance(301)
    assert await bench.upkeep.recover() == 3


async def test_old_events_are_removed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many transactions as it takes; one with a delivery under way stays, and so does what is not old enough."""
    monkeypatch.setattr(module, "_REMOVE", 2)
    monkeypatch.setattr(module, "_BREATH", 0.0)
    bench = Bench(keep=timedelta(days=90))
    for _ in range(5):
        bench.end(await bench.accept())
    under_way = await bench.accept()
    bench.clock.advance(90 * 86_400)
    bench.end(await bench.accept())
    assert await bench.upkeep.remove_old() == 0
    bench.clock.advance(1)
    assert await bench.upkeep.remove_old() == bench.tally.removed == 5
    assert bench.memory.delivery_rows[under_way].event_id in bench.memory.event_rows
    assert len(bench.memory.event_rows) == 2


async def test_events_can_be_kept_for_ever(bench: Bench) -> None:
    """Then none is old."""
    bench.end(await bench.accept())
    bench.clock.advance(100 * 365 * 86_400)
    assert await bench.upkeep.remove_old() == 0
    assert len(bench.memory.event_rows) == 1
