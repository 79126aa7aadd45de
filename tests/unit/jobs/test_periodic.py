"""When periodic jobs are due."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.jobs import ArgumentsError, Periodic, task


@task(name="tidy")
async def tidy(days: int = 1) -> None:
    """Tidy."""


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "last", "next_"),
    [
        ("2026-03-01T03:00:00", "2026-03-01T03:00:00", "2026-03-02T03:00:00"),
        ("2026-03-01T02:59:59.9", "2026-02-28T03:00:00", "2026-03-01T03:00:00"),
        ("2026-03-01T03:00:00.1", "2026-03-01T03:00:00", "2026-03-02T03:00:00"),
    ],
)
def test_cron_is_read_in_utc(now: str, last: str, next_: str) -> None:
    """The time that has come belongs to the past, to the fraction of a second."""
    item = Periodic(task=tidy, cron="0 3 * * *")
    assert (item.last(at(now)), item.next(at(now))) == (at(last), at(next_))


@given(every=st.floats(1, 1e6), now=st.floats(0, 4e9))
def test_the_times_of_an_interval_surround_now(every: float, now: float) -> None:
    """The last is not after now, the next is, and both are whole seconds."""
    item = Periodic(task=tidy, every=every)
    assert now - every - 1 <= item.last(now) <= now < item.next(now) <= now + every + 1


def test_an_hourly_job_is_on_the_hour() -> None:
    """Intervals are counted from the beginning of 1970."""
    item = Periodic(task=tidy, every=3600)
    assert item.last(at("2026-03-01T04:30:00")) == at("2026-03-01T04:00:00")


@pytest.mark.parametrize(
    "options",
    [{}, {"cron": "* * * * *", "every": 60}, {"every": 0}, {"every": float("nan")}, {"cron": "hello"}, {"cron": "* * * * * *"}],
)
def test_what_is_no_time_is_refused(options: dict) -> None:
    """Where it is declared."""
    with pytest.raises(ValueError):
        Periodic(task=tidy, **options)


def test_arguments_are_checked_where_it_is_declared() -> None:
    """And not when the time has come."""
    with pytest.raises(ArgumentsError):
        Periodic(task=tidy, every=60, arguments={"days": "many"})
