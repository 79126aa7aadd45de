"""Limits are read as people write them, and verdicts say what is left and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.ratelimit import Limit, Verdict


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10/minute", Limit(10, 60)),
        ("100/second", Limit(100, 1)),
        ("5 per 10 seconds", Limit(5, 10)),
        (" 1 PER Day ", Limit(1, 86400)),
        ("7/2hours", Limit(7, 7200)),
        ("100/second, burst 200", Limit(100, 1, burst=200)),
        ("10 per minute,burst 1", Limit(10, 60, burst=1)),
    ],
)
def test_a_limit_is_read_as_people_write_it(text, limit):
    """Count, unit, several units and a burst are understood in any case and spacing."""
    assert Limit.parse(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "10/", "/minute", "-1/minute", "0/minute", "1.5/minute", "१०/minute", "1" * 5000 + "/day", "10001/second"),
        *("10/fortnight", "10/0 seconds", "1/367 days", "10permin", "10/minute; drop", "10/minute burst 3", "1/day, burst 0"),
    ],
)
def test_what_is_not_a_limit_is_refused(text):
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match="limit"):
        Limit.parse(text)


@given(st.builds(Limit, st.integers(1, 10_000), st.integers(1, 366 * 86400), st.integers(0, 10**6)))
def test_a_limit_written_and_read_is_the_same(limit):
    """The text of a limit is one that `parse` reads as that limit."""
    assert Limit.parse(str(limit)) == limit


@given(st.integers(1, 10_000), st.integers(1, 86400), st.integers(0, 1000))
def test_never_more_than_was_promised(count, window, burst):
    """Rounding never gives back more quota than `count` per `window`, nor 1 % less."""
    limit = Limit(count, window, burst)
    assert limit.interval * count >= window * 1_000_000
    assert limit.interval * count <= window * 1_000_000 * 1.01
    assert limit.capacity == limit.interval * (burst or count)


@given(st.integers(1, 1000), st.integers(1, 86400), st.integers(0, 1000), st.floats(0, 1))
def test_waiting_gives_one_more(count, window, burst, share):
    """After `wait` seconds there is one more than `remaining`, and a second earlier there was not."""
    limit = Limit(count, window, burst)
    debt = max(1, int(limit.capacity * share))
    verdict = Verdict(limit, True, debt)
    assert 0 <= verdict.remaining <= limit.burst

    def after(seconds):
        return Verdict(limit, True, debt - seconds * 1_000_000).remaining

    assert after(verdict.wait) > verdict.remaining
    assert verdict.wait == 1 or after(verdict.wait - 1) == verdict.remaining
