"""Deliveries: what an attempt leads to."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.deliveries import RETRY_SCHEDULE, AttemptError, Delivery, DeliveryStatus, EndReason, Outcome
from app.domain.refusals import DeliveryNotFinished
from tests.unit.fakes import Clock

FAILURE = Outcome(duration=0.1, status_code=500, error=AttemptError.STATUS)


def make_delivery(clock: Clock) -> Delivery:
    return Delivery.create(id=uuid4(), tenant="acme", event_id=uuid4(), endpoint_id=uuid4(), at=clock())


def test_a_delivery_is_due_at_once() -> None:
    """The schedule begins with no delay."""
    clock = Clock()
    assert make_delivery(clock).due_at == clock()


def test_success_ends_it() -> None:
    """No further attempt is due."""
    clock = Clock()
    delivery = make_delivery(clock).after(Outcome(duration=0.1, status_code=204), at=clock(), jitter=0.5)
    assert (delivery.status, delivery.attempts, delivery.due_at) == (DeliveryStatus.SUCCEEDED, 1, None)
    assert delivery.finished_at == clock()


@given(st.floats(min_value=0, max_value=1))
def test_failures_follow_the_schedule_of_the_specification(jitter: float) -> None:
    """Ten attempts over three days, each delay longer by up to a fifth; then it has failed."""
    clock = Clock()
    delivery = make_delivery(clock)
    for attempt, delay in enumerate(RETRY_SCHEDULE[1:], start=1):
        delivery = delivery.after(FAILURE, at=clock(), jitter=jitter)
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.PENDING, attempt)
        assert delivery.due_at is not None
        assert delay <= (delivery.due_at - clock()).total_seconds() <= delay * 1.2 + 1e-6
        clock.now = delivery.due_at
    delivery = delivery.after(FAILURE, at=clock(), jitter=jitter)
    assert (delivery.status, delivery.attempts, delivery.due_at) == (DeliveryStatus.FAILED, 10, None)
    assert delivery.reason is EndReason.EXHAUSTED


def test_gone_ends_it() -> None:
    """410 says that nobody will ever want it."""
    clock = Clock()
    gone = Outcome(duration=0.1, status_code=410, error=AttemptError.STATUS)
    delivery = make_delivery(clock).after(gone, at=clock(), jitter=0)
    assert (delivery.status, delivery.reason) == (DeliveryStatus.FAILED, EndReason.GONE)


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 5.0), (60.0, 60.0), (1e9, 86_400.0)])
def test_a_receiver_may_ask_for_more_time_but_not_for_ever(asked: float, waited: float) -> None:
    """`Retry-After` lengthens the delay, to a day at most, and never shortens it."""
    clock = Clock()
    busy = Outcome(duration=0.1, status_code=503, error=AttemptError.STATUS, retry_after=asked)
    assert make_delivery(clock).after(busy, at=clock(), jitter=0).due_at == clock() + timedelta(seconds=waited)


def test_only_what_has_ended_without_success_can_be_retried() -> None:
    """A retry is due at once, and keeps count of the attempts."""
    clock = Clock()
    pending = make_delivery(clock)
    with pytest.raises(DeliveryNotFinished):
        pending.retry(at=clock())
    with pytest.raises(DeliveryNotFinished):
        pending.after(Outcome(duration=0.1, status_code=200), at=clock(), jitter=0).retry(at=clock())
    again = pending.cancel(EndReason.ENDPOINT_DISABLED, at=clock()).retry(at=clock())
    assert (again.status, again.due_at, again.finished_at, again.reason) == (DeliveryStatus.PENDING, clock(), None, None)


def test_what_ended_for_want_of_a_promise_goes_on_with_that_promise() -> None:
    """And with no other; what ended for another reason is not touched."""
    clock = Clock()
    pending = replace(make_delivery(clock), ticket=7)
    for ended in (pending.abandon(at=clock()), pending.cancel(EndReason.WITHDRAWN, at=clock())):
        assert ended.due_at is None
        assert ended.resume(7, at=clock()) == pending
        assert ended.resume(8, at=clock()) == ended
    for other in (pending, pending.cancel(EndReason.ENDPOINT_DISABLED, at=clock())):
        assert other.resume(7, at=clock()) == other


def test_a_retry_past_the_schedule_is_one_attempt() -> None:
    """A person asked for it, so a person sees to what comes of it."""
    clock = Clock()
    delivery = make_delivery(clock)
    for _ in RETRY_SCHEDULE:
        delivery = delivery.after(FAILURE, at=clock(), jitter=0)
    delivery = delivery.retry(at=clock()).after(FAILURE, at=clock(), jitter=0)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, 11)
