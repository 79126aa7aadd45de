"""What tenants can do, without a database and without HTTP."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.domain.deliveries import AttemptError, Delivery, DeliveryStatus, EndReason, Outcome
from app.domain.endpoints import DisabledReason, EndpointRules
from app.domain.errors import NotFound, VersionMismatch
from app.domain.events import PAYLOAD_MAX_BYTES
from app.domain.refusals import EndpointDisabled, EndpointLimitReached, PayloadTooLarge
from app.domain.services.deliveries import DeliveryService
from app.domain.services.endpoints import EndpointService, EndpointSettings
from app.domain.services.events import EventService
from tests.unit.fakes import Clock, Memory, Tally, make_endpoint

SETTINGS = EndpointSettings(url="https://example.com", description="", event_types=("order.*",), enabled=True)


def any_version(_: int) -> bool:
    return True


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_an_event_becomes_a_delivery_for_each_endpoint_that_wants_it(memory: Memory, clock: Clock) -> None:
    """Not for disabled ones, other types and other tenants; and it is counted."""
    wanted = [make_endpoint(clock, event_types=("order.*",)), make_endpoint(clock, event_types=("user.made", "order.paid"))]
    others = [
        make_endpoint(clock, event_types=("user.*",)),
        make_endpoint(clock, disabled_reason=DisabledReason.REQUESTED),
        make_endpoint(clock, tenant="globex"),
    ]
    for endpoint in (*wanted, *others):
        await memory.endpoints.add(endpoint)
    measures = Tally()
    event = await EventService(memory, measures=measures, clock=clock).accept("acme", type="order.paid", payload={"a": 1})
    assert {delivery.endpoint_id for delivery in memory.delivery_rows.values()} == {endpoint.id for endpoint in wanted}
    assert all(delivery.event_id == event.id for delivery in memory.delivery_rows.values())
    assert memory.enqueued == dict.fromkeys(memory.delivery_rows, 1)
    assert measures.accepted == [2]


async def test_nothing_is_counted_or_kept_when_the_transaction_fails(memory: Memory, clock: Clock) -> None:
    """Neither an event without its deliveries nor a number without its event."""

    async def fail(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        raise RuntimeError("the database went away")

    await memory.endpoints.add(make_endpoint(clock))
    memory.queue.enqueue = fail  # type: ignore[method-assign]
    measures = Tally()
    with pytest.raises(RuntimeError):
        await EventService(memory, measures=measures, clock=clock).accept("acme", type="a", payload={})
    assert not memory.event_rows
    assert not memory.delivery_rows
    assert not measures.accepted


async def test_a_payload_is_kept_as_it_will_be_sent(memory: Memory, clock: Clock) -> None:
    """The body has the structure that the specification recommends, with the payload unchanged."""
    payload = {"text": "\N{SNOWMAN}\0", "big": 10**30, "nested": [1.5, None, {"a": True}]}
    event = await EventService(memory, measures=Tally(), clock=clock).accept("acme", type="a.b", payload=payload)
    assert json.loads(event.body()) == {"type": "a.b", "timestamp": "2026-01-01T00:00:00Z", "data": payload}


async def test_a_payload_has_a_largest_size(memory: Memory, clock: Clock) -> None:
    """The limit itself fits, one byte more does not."""
    service = EventService(memory, measures=Tally(), clock=clock)
    await service.accept("acme", type="a", payload={"a": "x" * (PAYLOAD_MAX_BYTES - 8)})
    with pytest.raises(PayloadTooLarge, match=f"{PAYLOAD_MAX_BYTES + 1} bytes"):
        await service.accept("acme", type="a", payload={"a": "x" * (PAYLOAD_MAX_BYTES - 7)})


async def test_a_tenant_has_a_number_of_endpoints(memory: Memory, clock: Clock) -> None:
    """Another tenant's do not count."""
    service = EndpointService(memory, rules=EndpointRules(per_tenant=1), clock=clock)
    await service.create("acme", SETTINGS)
    await service.create("globex", SETTINGS)
    with pytest.raises(EndpointLimitReached):
        await service.create("acme", SETTINGS)


async def test_another_tenants_things_do_not_exist(memory: Memory, clock: Clock) -> None:
    """Not to read, not to change, not to remove."""
    endpoints = EndpointService(memory, rules=EndpointRules(), clock=clock)
    endpoint = await endpoints.create("acme", SETTINGS)
    event = await EventService(memory, measures=Tally(), clock=clock).accept("acme", type="order.paid", payload={})
    [delivery] = memory.delivery_rows.values()
    for attempt in (
        endpoints.get("globex", endpoint.id),
        endpoints.update("globex", endpoint.id, SETTINGS, expected=any_version),
        endpoints.delete("globex", endpoint.id, expected=any_version),
        EventService(memory, measures=Tally()).get("globex", event.id),
        DeliveryService(memory).report("globex", delivery.id),
        DeliveryService(memory).retry("globex", delivery.id),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_change_of_something_older_is_refused(memory: Memory, clock: Clock) -> None:
    """Two people who read the same version cannot both win."""
    service = EndpointService(memory, rules=EndpointRules(), clock=clock)
    endpoint = await service.create("acme", SETTINGS)
    first = await service.update("acme", endpoint.id, SETTINGS, expected=lambda version: version == 1)
    assert first.version == 2
    with pytest.raises(VersionMismatch, match='"2"'):
        await service.update("acme", endpoint.id, SETTINGS, expected=lambda version: version == 1)


async def test_a_delivery_to_a_disabled_endpoint_is_not_retried(memory: Memory, clock: Clock) -> None:
    """It would be cancelled again; the caller is told instead."""
    endpoint = make_endpoint(clock)
    await memory.endpoints.add(endpoint)
    await EventService(memory, measures=Tally(), clock=clock).accept("acme", type="a", payload={})
    [delivery] = memory.delivery_rows.values()
    gone = Outcome(duration=0, status_code=410, error=AttemptError.STATUS)
    await memory.deliveries.save(delivery.after(gone, at=clock(), jitter=0))
    await memory.endpoints.save(endpoint.after(gone, at=clock()), replacing=1)
    with pytest.raises(EndpointDisabled):
        await DeliveryService(memory, clock=clock).retry("acme", delivery.id)
    assert memory.delivery_rows[delivery.id].status is DeliveryStatus.FAILED
    assert memory.enqueued[delivery.id] == 1


async def test_a_retry_is_promised_like_a_new_delivery(memory: Memory, clock: Clock) -> None:
    """In the transaction that makes it due again."""
    await memory.endpoints.add(make_endpoint(clock))
    await EventService(memory, measures=Tally(), clock=clock).accept("acme", type="a", payload={})
    [delivery] = memory.delivery_rows.values()
    await memory.deliveries.save(delivery.cancel(EndReason.ENDPOINT_DISABLED, at=clock()))
    await DeliveryService(memory, clock=clock).retry("acme", delivery.id)
    assert memory.enqueued[delivery.id] == 2


async def test_an_update_enables_an_endpoint_that_was_disabled_for_its_failures(memory: Memory, clock: Clock) -> None:
    """With a clean slate; one that asks for no deliveries leaves the reason as it was."""
    failing = make_endpoint(clock, disabled_reason=DisabledReason.FAILING, failing_since=clock())
    await memory.endpoints.add(failing)
    service = EndpointService(memory, rules=EndpointRules(), clock=clock)
    off = await service.update("acme", failing.id, replace(SETTINGS, enabled=False), expected=any_version)
    assert off.disabled_reason is DisabledReason.FAILING
    on = await service.update("acme", failing.id, SETTINGS, expected=any_version)
    assert (on.enabled, on.failing_since) == (True, None)
    off = await service.update("acme", failing.id, replace(SETTINGS, enabled=False), expected=any_version)
    assert off.disabled_reason is DisabledReason.REQUESTED
