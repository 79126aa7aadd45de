"""Retry policies: how often, and how long in between."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.jobs import ONCE, STANDARD_WEBHOOKS, Backoff, Retry, Schedule


def test_backoff_grows_up_to_its_longest() -> None:
    """Each wait is the factor times the one before, and never above the longest."""
    policy = Backoff(attempts=9, first=1, factor=4, longest=100, jitter=0)
    assert [policy.delay(attempt) for attempt in range(1, 6)] == [1, 4, 16, 64, 100]
    assert policy.delay(100_000) == 100


def test_a_schedule_is_followed() -> None:
    """Its waits come in order; an attempt beyond them, made by hand, waits like the last."""
    policy = Schedule((5, 300), jitter=0)
    assert policy.attempts == 3
    assert [policy.delay(attempt) for attempt in (1, 2, 3, 9)] == [5, 300, 300, 300]


def test_once_is_one_attempt() -> None:
    """And would wait for nothing."""
    assert (ONCE.attempts, ONCE.delay(1)) == (1, 0)


def test_standard_webhooks_has_ten_attempts_in_about_three_days() -> None:
    """As its specification recommends."""
    assert STANDARD_WEBHOOKS.attempts == 10
    assert 2.5 < sum(STANDARD_WEBHOOKS.delays) / 86_400 < 3.5


@given(
    policy=st.builds(
        Backoff,
        attempts=st.integers(1, 50),
        first=st.floats(0, 100),
        factor=st.floats(1, 10),
        longest=st.floats(100, 1e6),
        jitter=st.floats(0, 1),
    ),
    attempt=st.integers(1, 10_000),
    random=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_bounded_whatever_the_jitter(policy: Backoff, attempt: int, random: float) -> None:
    """Never negative, never endless, never more than the jitter above the longest."""
    delay = policy.delay(attempt, lambda: random)
    assert 0 <= delay <= policy.longest * (1 + policy.jitter) < math.inf


@pytest.mark.parametrize(
    "make",
    [
        lambda: Backoff(attempts=0),
        lambda: Backoff(first=-1),
        lambda: Backoff(first=10, longest=5),
        lambda: Backoff(factor=0.5),
        lambda: Backoff(jitter=2),
        lambda: Backoff(longest=math.inf),
        lambda: Schedule((5, -1)),
        lambda: Schedule((math.nan,)),
        lambda: Schedule((), jitter=-1),
        lambda: Retry(after=-1),
        lambda: Retry(after=math.nan),
    ],
)
def test_what_makes_no_sense_is_refused(make) -> None:
    """A policy that would never end, or go back in time, does not start."""
    with pytest.raises(ValueError):
        make()
