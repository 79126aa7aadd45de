"""Limits count per client, report a bounded number of refusals, and do as declared when their store is down."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from fastness.problems import Problem
from fastness.ratelimit import Limit, MemoryStore, RateLimit, RateLimitMiddleware, RedisStore, StoreError, Verdict
from fastness.ratelimit.limiter import Limiter, Reports, client_key
from fastness.testing import ManualClock, capture_logs


class DownStore:
    """A store that does not answer while it is down."""

    def __init__(self) -> None:
        self.down = True
        self.memory = MemoryStore(clock=ManualClock())

    async def hit(self, key, limit):
        if self.down:
            raise StoreError("no route to host")
        return self.memory.hit(key, limit)


def sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:DB8:0:0:1::", True),
        ("2001:db8::1", "2001:db8::ff00:0:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("not:an:address", "not:an:address2", False),
        (None, "192.0.2.1", False),
    ],
)
def test_who_counts_as_one_client(address, other, same):
    """An IPv4 address is a client, also when mapped; so is a /64 network of IPv6."""
    assert (client_key(address) == client_key(other)) is same


@given(st.text())
@example("::\0")
@example("::\ud800")
def test_every_address_has_a_key(text):
    """Whatever a proxy or a socket gives as address, there is a key for it."""
    assert client_key(text).startswith("c:")


def test_headers_are_those_of_the_draft():
    """The fields are structured fields: name, quota and window; name, what is left, and when there will be one more."""
    limiter = Limiter("10/minute, burst 5", name="events", on_store_failure="open")
    assert limiter.headers(Verdict(limiter.limit, True, 12_000_000)) == {
        "RateLimit": '"events";r=3;t=6',
        "RateLimit-Policy": '"events";q=10;w=60;fastness-burst=5',
    }
    assert Limiter("10/minute", name=None, on_store_failure="open").policy == '"10/minute";q=10;w=60'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"limit": "10"}, "rate limit '10'"),
        ({"limit": "1/day", "name": 'a"b'}, "rate limit name"),
        ({"limit": "1/day", "name": ""}, "rate limit name"),
        ({"limit": "1/day", "on_store_failure": "maybe"}, "on_store_failure='maybe'"),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    """Both forms refuse what makes no sense, naming it."""
    with pytest.raises(ValueError, match=words):
        RateLimit(**arguments)
    with pytest.raises(ValueError, match=words):
        RateLimitMiddleware(None, **arguments)


def test_by_must_be_something_that_gives_a_key():
    """A coroutine function or a wrong word cannot say whose requests count together."""

    async def by(connection):
        return ""

    for wrong in (by, "user", 3):
        with pytest.raises(ValueError, match="by="):
            RateLimit("1/day", by=wrong)


def test_a_redis_store_needs_a_time_limit():
    """A time limit that is not positive is refused."""
    with pytest.raises(ValueError, match="time_limit=0"):
        RedisStore(None, time_limit=0)


async def test_open_lets_through_while_the_store_is_down():
    """With `open`, requests pass, are counted, and the log says once that limits are off, and once that they are back."""
    limiter, store = Limiter("1/day", name="open-test", on_store_failure="open"), DownStore()
    with capture_logs("fastness.ratelimit") as logs:
        assert [await limiter.ask(store, "k", None) for _ in range(3)] == [None] * 3
        store.down = False
        assert (await limiter.ask(store, "k", None)).allowed
        with pytest.raises(Problem):
            await limiter.ask(store, "k", None)
    assert sample("fastness_ratelimit_store_failures_total", limit="open-test", outcome="open") == 3
    assert logs.messages == [
        "the store of rate limit 'open-test' is down, requests are not limited: no route to host",
        "the store of rate limit 'open-test' answers again",
    ]


async def test_closed_refuses_while_the_store_is_down():
    """With `closed`, requests are refused with 503 and counted."""
    limiter = Limiter("1/day", name="closed-test", on_store_failure="closed")
    with pytest.raises(Problem) as caught:
        await limiter.ask(DownStore(), "k", None)
    assert (caught.value.kind.status, caught.value.headers) == (503, {"Retry-After": "1"})
    assert sample("fastness_ratelimit_store_failures_total", limit="closed-test", outcome="closed") == 1


async def test_a_refusal_is_counted_and_audited_once_per_key():
    """Each refusal is counted; the audit log has the first of each key."""
    limiter, store = Limiter("1/day", name="audit-test", on_store_failure="open"), MemoryStore()
    with capture_logs("fastness.audit") as logs:
        for key in ("a", "b"):
            assert (await limiter.ask(store, key, "192.0.2.1")).allowed
            for _ in range(3):
                with pytest.raises(Problem) as caught:
                    await limiter.ask(store, key, "192.0.2.1")
    assert sample("fastness_ratelimit_refused_total", limit="audit-test") == 6
    event = {"category": "audit", "action": "ratelimit.hit", "outcome": "denied", "limit": "audit-test", "policy": "1/day"}
    assert logs.audit() == [{**event, "client": "192.0.2.1", "unreported": missed} for missed in (0, 2)]
    problem = caught.value
    assert problem.headers["Retry-After"] == "86400"
    assert problem.headers["RateLimit"] == '"audit-test";r=0;t=86400'
    assert problem.document()["violated-policies"] == ["audit-test"]


def test_reports_are_bounded_per_period():
    """The first of each key, at most so many in all, and the next one says how many were left out."""
    reports = Reports(period=60, most=2)
    assert [reports.due(key, 0) for key in "aabbcd"] == [0, None, 1, None, None, None]
    assert reports.due("a", 59.9) is None
    assert reports.due("a", 60) == 4
    assert reports.due("b", 60) == 0


@pytest.mark.parametrize(("limit", "period"), [("1/second", 60), ("1/hour", 3600)])
def test_a_period_of_reports_is_a_minute_or_the_window(monkeypatch, limit, period):
    """One who sends for ever is reported once a minute at most, and once in a window that is longer."""
    limiter, now = Limiter(limit, name="period", on_store_failure="open"), [1000.0]
    monkeypatch.setattr("fastness.ratelimit.limiter.monotonic", lambda: now[0])
    verdict = Verdict(limiter.limit, False, limiter.limit.capacity)
    with capture_logs("fastness.audit") as logs:
        for at in (0, period - 0.5, period):
            now[0] = 1000.0 + at
            limiter.refuse("k", None, verdict)
    assert [event["unreported"] for event in logs.audit()] == [0, 1]


def test_a_limit_is_a_value():
    """A limit can be made of numbers as well, with bounds that are checked."""
    assert Limit(10, 60) == Limit.parse("10/minute")
    for wrong in ((0, 60), (10, 0), (10, 60, -1), (10, 366 * 86400 + 1)):
        with pytest.raises(ValueError, match="must be at least 1"):
            Limit(*wrong)
    assert Limit(10_000, 1).count == 10_000
    with pytest.raises(ValueError, match="more than 10000 requests per second"):
        Limit(10_001, 1)
