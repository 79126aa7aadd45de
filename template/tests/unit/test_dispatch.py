"""Making deliveries, without a database, without a network and without workers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook

from app.domain.deliveries import AttemptError, DeliveryStatus, Outcome
from app.domain.endpoints import GIVEN_UP_AFTER, DisabledReason, Endpoint
from app.domain.services.dispatch import Dispatcher
from app.domain.services.events import EventService
from tests.unit.fakes import Clock, Memory, Receiver, Tally, make_endpoint

FAILURE = Outcome(duration=0.1, status_code=500, error=AttemptError.STATUS, excerpt="no")
GONE = Outcome(duration=0.1, status_code=410, error=AttemptError.STATUS)


class Lost(Exception):
    """The turn is another worker's by now."""


class Bench:
    """A dispatcher with one endpoint, and everything around it in memory."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.clock = Clock()
        self.receiver = Receiver()
        self.tally = Tally()
        made = make_endpoint(self.clock)
        self.memory.endpoint_rows[made.id] = made
        self.lost = False
        self.dispatcher = Dispatcher(
            lambda: self.memory,
            sender=self.receiver,
            measures=self.tally,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def accept(self, type: str = "order.paid") -> UUID:  # noqa: A002
        await EventService(self.memory, measures=Tally(), clock=self.clock).accept("acme", type=type, payload={"a": 1})
        return list(self.memory.delivery_rows)[-1]

    async def confirm(self, uow: Memory) -> None:
        assert uow is self.memory
        if self.lost:
            raise Lost

    async def attempt(self, delivery_id: UUID) -> float | None:
        ticket = next((row.ticket or 0 for row in self.memory.delivery_rows.values() if row.id == delivery_id), 0)
        return await self.dispatcher.attempt(delivery_id, ticket=ticket, confirm=self.confirm)

    @property
    def endpoint(self) -> Endpoint:
        [found] = self.memory.endpoint_rows.values()
        return found

    @property
    def statuses(self) -> list[DeliveryStatus]:
        return [delivery.status for delivery in self.memory.delivery_rows.values()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_due_delivery_is_sent_signed(bench: Bench) -> None:
    """To the endpoint's URL, with the event's id, as one success; there is no next time."""
    delivery_id = await bench.accept()
    bench.clock.now = datetime.now(UTC)  # the public verifier looks at the clock
    assert await bench.attempt(delivery_id) is None
    [(url, headers, body)] = bench.receiver.requests
    [event] = bench.memory.event_rows.values()
    assert (url, headers["webhook-id"], body) == (bench.endpoint.url, event.public_id, event.body())
    Webhook(bench.endpoint.secret).verify(body, dict(headers))
    assert bench.statuses == bench.tally.attempted == [DeliveryStatus.SUCCEEDED]


async def test_nothing_is_sent_before_it_is_due(bench: Bench) -> None:
    """A failure waits for its time, and repeats under the same id with the time of the new attempt."""
    delivery_id = await bench.accept()
    bench.receiver.outcomes = [FAILURE]
    assert [await bench.attempt(delivery_id) for _ in range(2)] == [5, 5]
    bench.clock.advance(2)
    assert await bench.attempt(delivery_id) == 3
    assert len(bench.receiver.requests) == 1
    bench.clock.advance(3)
    assert await bench.attempt(delivery_id) is None
    (_, first, body), (_, second, again) = bench.receiver.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 5
    [attempts] = bench.memory.attempt_rows.values()
    assert [(attempt.number, attempt.status_code, attempt.excerpt) for attempt in attempts] == [(1, 500, "no"), (2, 200, "")]


async def test_clocks_of_two_machines_may_differ_a_little(bench: Bench) -> None:
    """What is all but due is sent: another turn would cost more than it is worth."""
    delivery_id = await bench.accept()
    bench.clock.advance(-0.9)
    assert await bench.attempt(delivery_id) is None
    assert bench.statuses == [DeliveryStatus.SUCCEEDED]


async def test_what_is_gone_or_has_ended_is_left_alone(bench: Bench) -> None:
    """A job may come back after its worker died, or after its endpoint was removed with everything."""
    delivery_id = await bench.accept()
    await bench.attempt(delivery_id)
    assert await bench.attempt(delivery_id) is None
    assert await bench.attempt(uuid4()) is None
    assert len(bench.receiver.requests) == 1


async def test_gone_disables_the_endpoint_and_cancels_what_was_waiting(bench: Bench) -> None:
    """The receiver is not asked again."""
    first, second = await bench.accept(), await bench.accept()
    bench.receiver.outcomes = [GONE]
    assert await bench.attempt(first) is None
    assert bench.endpoint.disabled_reason is DisabledReason.GONE
    assert bench.tally.disabled == [DisabledReason.GONE]
    assert await bench.attempt(second) is None
    assert len(bench.receiver.requests) == 1
    assert bench.statuses == [DeliveryStatus.FAILED, DeliveryStatus.CANCELLED]


async def test_an_endpoint_that_takes_nothing_for_days_is_disabled(bench: Bench) -> None:
    """The time counts from the first of the failures, and a delivery that waits is cancelled when its time comes."""
    bench.receiver.outcomes = [FAILURE] * 2
    assert await bench.attempt(await bench.accept()) == 5
    assert (bench.endpoint.failing_since, bench.endpoint.enabled) == (bench.clock(), True)
    bench.clock.advance(GIVEN_UP_AFTER.total_seconds())
    last = await bench.accept()
    assert await bench.attempt(last) == 5
    assert bench.endpoint.disabled_reason is DisabledReason.FAILING
    assert bench.tally.disabled == [DisabledReason.FAILING]
    bench.clock.advance(5)
    assert await bench.attempt(last) is None
    assert bench.statuses == [DeliveryStatus.PENDING, DeliveryStatus.CANCELLED]
    assert len(bench.receiver.requests) == 2


async def test_a_success_makes_up_for_every_failure_before_it(bench: Bench) -> None:
    """However long they went on."""
    bench.receiver.outcomes = [FAILURE]
    delivery_id = await bench.accept()
    await bench.attempt(delivery_id)
    bench.clock.advance(2 * GIVEN_UP_AFTER.total_seconds())
    await bench.attempt(delivery_id)
    assert (bench.endpoint.failing_since, bench.endpoint.enabled) == (None, True)


async def test_what_a_worker_finds_out_after_its_turn_does_not_count(bench: Bench) -> None:
    """Nothing is written, and nothing counted; whoever has the turn makes the delivery."""
    delivery_id = await bench.accept()
    bench.lost, bench.receiver.outcomes = True, [GONE]
    with pytest.raises(Lost):
        await bench.attempt(delivery_id)
    assert bench.statuses == [DeliveryStatus.PENDING]
    assert bench.endpoint.enabled
    assert not bench.memory.attempt_rows
    assert not bench.tally.attempted


async def test_of_two_that_made_the_same_delivery_the_first_is_believed(bench: Bench) -> None:
    """The other one ends, so that one of them goes on."""
    delivery_id = await bench.accept()

    async def be_slower(url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        row = bench.memory.delivery_rows[delivery_id]
        bench.memory.delivery_rows[delivery_id] = row.after(Outcome(duration=0.1), at=bench.clock(), jitter=0)
        return FAILURE

    bench.receiver.send = be_slower  # type: ignore[method-assign]
    assert await bench.attempt(delivery_id) is None
    assert bench.statuses == [DeliveryStatus.SUCCEEDED]
    assert not bench.memory.attempt_rows
    assert not bench.tally.attempted


async def test_a_job_that_is_retried_by_hand_makes_what_was_given_up_for_it(bench: Bench) -> None:
    """Which is what whoever retries it expects; for another promise it is left as it is."""
    delivery_id = await bench.accept()
    bench.memory.delivery_rows[delivery_id] = bench.memory.delivery_rows[delivery_id].abandon(at=bench.clock())
    assert await bench.dispatcher.attempt(delivery_id, ticket=99, confirm=bench.confirm) is None
    assert not bench.receiver.requests
    assert await bench.attempt(delivery_id) is None
    assert bench.statuses == [DeliveryStatus.SUCCEEDED]
    assert len(bench.receiver.requests) == 1


async def test_a_cancelled_delivery_is_cancelled_once(bench: Bench) -> None:
    """Not by a worker whose turn is over."""
    delivery_id = await bench.accept()
    disabled = replace(bench.endpoint, disabled_reason=DisabledReason.REQUESTED)
    bench.memory.endpoint_rows[disabled.id] = disabled
    bench.lost = True
    with pytest.raises(Lost):
        await bench.attempt(delivery_id)
    assert bench.statuses == [DeliveryStatus.PENDING]
    bench.lost = False
    assert await bench.attempt(delivery_id) is None
    assert bench.statuses == [DeliveryStatus.CANCELLED]
