"""What is attempted again, when, and how often over all calls."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.outbound import Retries, RetryBudget
from fastness.outbound.retries import repeatable, retry_after_seconds


@given(st.integers(1, 3), st.floats(0.001, 1), st.floats(1, 10))
def test_a_pause_is_spread_and_bounded(attempt, wait, max_wait):
    """At least half of the first wait, and never more than the bound."""
    pause = Retries(wait=wait, max_wait=max_wait).pause(attempt, None)
    assert wait / 2 <= pause <= max(wait / 2, min(max_wait, wait * 2**attempt))


def test_retry_after_is_a_floor():
    """What an upstream asks for is waited in full, and some more, so that not all come back at once."""
    pauses = {Retries(max_wait=2).pause(1, 30.0) for _ in range(20)}
    assert min(pauses) > 30
    assert len(pauses) > 1


@pytest.mark.parametrize("options", [{"attempts": 0}, {"attempts": 4}, {"wait": 0}, {"wait": 3}, {"max_wait": float("inf")}])
def test_retries_out_of_range_are_refused(options):
    """More than three attempts, or waits without bound."""
    with pytest.raises(ValueError, match="retries"):
        Retries(**options)


@pytest.mark.parametrize("calls", [100, 1_000, 10_000])
def test_a_dead_upstream_is_asked_at_most_a_fifth_more(calls):
    """The reserve and a tenth of the calls: from the hundredth call on, 1.2 requests per call at most."""
    budget, attempts = RetryBudget(), 0
    for _ in range(calls):
        budget.deposit()
        attempts += 1
        for _ in range(2):
            attempts += budget.withdraw()
    assert attempts <= 1.2 * calls


@given(st.lists(st.booleans(), max_size=300), st.floats(0, 1), st.integers(1, 20))
def test_retries_never_exceed_the_reserve_and_the_share(steps, ratio, reserve):
    """In whatever order calls and retries come."""
    budget, calls, retries = RetryBudget(ratio=ratio, reserve=reserve), 0, 0
    for call in steps:
        if call:
            budget.deposit()
            calls += 1
        else:
            retries += budget.withdraw()
        assert retries <= reserve + ratio * calls + 1e-6


def test_ten_calls_give_one_retry():
    """Exactly, although a tenth is no binary fraction."""
    budget = RetryBudget(reserve=1)
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
    for _ in range(10):
        budget.deposit()
    assert [budget.withdraw(), budget.withdraw()] == [True, False]


@pytest.mark.parametrize("options", [{"ratio": -0.1}, {"ratio": 1.1}, {"reserve": 0}])
def test_a_budget_out_of_range_is_refused(options):
    """It would bound nothing, or everything."""
    with pytest.raises(ValueError, match="retry budget"):
        RetryBudget(**options)


def test_only_what_may_be_made_twice_is_repeatable():
    """Idempotent methods, and any with a key."""
    assert all(repeatable(method, keyed=False) for method in ("GET", "get", "HEAD", "PUT", "DELETE", "OPTIONS", "QUERY"))
    assert not any(repeatable(method, keyed=False) for method in ("POST", "PATCH", "CONNECT", "X-MINE"))
    assert repeatable("POST", keyed=True)


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
        ("", None),
        ("x", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 40, None),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """RFC 9110, section 10.2.3; what is neither is as if it were not there."""
    assert retry_after_seconds(value, lambda: NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_does_harm(value):
    """Whatever an upstream sends, it is a number of seconds or nothing."""
    seconds = retry_after_seconds(value)
    assert seconds is None or seconds >= 0
