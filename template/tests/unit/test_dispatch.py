"""Making deliveries, without a database and without a network."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from app.domain.deliveries import AttemptError, DeliveryStatus, Outcome
from app.domain.services.dispatch import Dispatcher, DispatchRules
from app.domain.services.events import EventService
from tests.unit.fakes import Clock, Memory, Receiver, Tally, make_endpoint

FAILURE = Outcome(duration=0.1, status_code=500, error=AttemptError.STATUS, excerpt="no")
GONE = Outcome(duration=0.1, status_code=410, error=AttemptError.STATUS)


class Bench:
    """A dispatcher with one endpoint, and everything around it in memory."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.clock = Clock()
        self.receiver = Receiver()
        self.tally = Tally()
        self.endpoint = make_endpoint(self.clock)
        self.memory.endpoint_rows[self.endpoint.id] = self.endpoint
        self.dispatcher = Dispatcher(
            lambda: self.memory,
            sender=self.receiver,
            measures=self.tally,
            rules=DispatchRules(batch=2),
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def accept(self, type: str = "order.paid") -> None:  # noqa: A002
        await EventService(self.memory, measures=Tally(), clock=self.clock).accept("acme", type=type, payload={"a": 1})

    @property
    def statuses(self) -> list[DeliveryStatus]:
        return [delivery.status for delivery in self.memory.delivery_rows.values()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_due_delivery_is_sent_signed(bench: Bench) -> None:
    """To the endpoint's URL, with the event's id, as one success."""
    await bench.accept()
    bench.clock.now = datetime.now(UTC)  # the public verifier looks at the clock
    assert await bench.dispatcher.run_once() == 1
    [(url, headers, body)] = bench.receiver.requests
    [event] = bench.memory.event_rows.values()
    assert (url, headers["webhook-id"], body) == (bench.endpoint.url, event.public_id, event.body())
    Webhook(bench.endpoint.secret).verify(body, dict(headers))
    assert bench.statuses == bench.tally.attempted == [DeliveryStatus.SUCCEEDED]


async def test_nothing_is_sent_before_it_is_due(bench: Bench) -> None:
    """A failure waits for its time, and repeats under the same id with the time of the new attempt."""
    await bench.accept()
    bench.receiver.outcomes = [FAILURE]
    assert [await bench.dispatcher.run_once() for _ in range(2)] == [1, 0]
    bench.clock.advance(5)
    assert await bench.dispatcher.run_once() == 1
    (_, first, body), (_, second, again) = bench.receiver.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 5
    [attempts] = bench.memory.attempt_rows.values()
    assert [(attempt.number, attempt.status_code, attempt.excerpt) for attempt in attempts] == [(1, 500, "no"), (2, 200, "")]


async def test_a_batch_has_a_size(bench: Bench) -> None:
    """What does not fit is made next time."""
    for _ in range(3):
        await bench.accept()
    assert [await bench.dispatcher.run_once() for _ in range(3)] == [2, 1, 0]


async def test_gone_disables_the_endpoint_and_cancels_what_was_waiting(bench: Bench) -> None:
    """The receiver is not asked again."""
    await bench.accept()
    bench.receiver.outcomes = [GONE]
    await bench.dispatcher.run_once()
    assert not bench.memory.endpoint_rows[bench.endpoint.id].enabled
    [delivery] = bench.memory.delivery_rows.values()
    bench.memory.delivery_rows[delivery.id] = delivery.retry(at=bench.clock())
    await bench.dispatcher.run_once()
    assert len(bench.receiver.requests) == 1
    assert bench.statuses == [DeliveryStatus.CANCELLED]


async def test_a_worker_that_dies_leaves_the_delivery_to_the_next(bench: Bench) -> None:
    """Its lease ends, and the delivery is made again: at least once."""
    await bench.accept()
    now = bench.clock()
    rules = DispatchRules()
    [claim] = await bench.memory.queue.claim(limit=1, at=now, until=now + rules.lease)
    assert await bench.dispatcher.run_once() == 0
    bench.clock.advance(rules.lease.total_seconds())
    assert await bench.dispatcher.run_once() == 1
    assert bench.statuses == [DeliveryStatus.SUCCEEDED]
    await bench.dispatcher.attempt(claim)
    assert len(bench.receiver.requests) == 1, "the first worker comes back and no longer holds it"


async def test_what_a_worker_without_its_lease_found_out_does_not_count(bench: Bench) -> None:
    """Of two that made the same delivery, the one that holds it is believed."""

    async def lose_the_lease(url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        bench.memory.leases.clear()
        return FAILURE

    await bench.accept()
    bench.receiver.send = lose_the_lease  # type: ignore[method-assign]
    await bench.dispatcher.run_once()
    assert bench.statuses == [DeliveryStatus.PENDING]
    assert not bench.memory.attempt_rows
    assert not bench.tally.attempted
