"""What a cache gives, loads and keeps, on a clock that stands still."""

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel, TypeAdapter

from fastness.cache import Cache, MemoryStore
from fastness.context import RequestContext, current, within
from fastness.testing import ManualClock, no_leaks


class Price(BaseModel):
    amount: int
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class Source:
    """Loads values, when it is let."""

    def __init__(self, *values):
        self.values = list(values)
        self.loads = 0
        self.begun = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self):
        self.loads += 1
        self.begun.release()
        await self.go.wait()
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(value, BaseException):
            raise value
        return value


@pytest.fixture
def clock():
    return ManualClock(1_800_000_000.0)


@pytest.fixture
def store(clock):
    return MemoryStore(clock=clock)


@asynccontextmanager
async def cache_of(store, clock, kind=int, name="test", **options):
    made = Cache(name, kind, store=store, clock=clock, **{"ttl": 60, "jitter": 0, **options})
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


async def settle(cache):
    """Wait for what the cache does behind the scenes."""
    await asyncio.gather(*cache._tasks, return_exceptions=True)


async def test_a_value_is_loaded_once_and_kept_for_its_time(store, clock):
    """Then it is loaded again; keys are apart."""
    source = Source(1, 2, 3)
    async with cache_of(store, clock) as cache:
        assert [await cache.get("a", source) for _ in range(3)] == [1, 1, 1]
        assert await cache.get("b", source) == 2
        clock.advance(59.9)
        assert await cache.get("a", source) == 1
        clock.advance(0.2)
        assert await cache.get("a", source) == 3
    assert source.loads == 3


async def test_values_have_their_type(store, clock):
    """Models and collections of them come back as they were; what was given is a copy."""
    loaded = [Price(amount=1), Price(amount=2)]
    async with cache_of(store, clock, list[Price]) as cache:
        await cache.get("a", Source(loaded))
        first = await cache.get("a", Source([]))
        first.clear()
        assert await cache.get("a", Source([])) == loaded


async def test_a_value_of_another_type_is_an_error(store, clock):
    """A load that gives what was not declared fails where it is seen, and nothing is kept."""
    async with cache_of(store, clock, Price) as cache:
        with pytest.raises(ValueError, match="Price"):
            await cache.get("a", Source("text"))
    assert len(store) == 0


async def test_many_who_ask_at_once_share_one_load(store, clock):
    """Whatever becomes of it: a value, or an error, after which the next one who asks loads again."""
    source = Source(1, KeyError("broken"), 2)
    async with cache_of(store, clock) as cache:
        for expected in (1, KeyError):
            source.go.clear()
            asking = [asyncio.create_task(cache.get("a", source)) for _ in range(50)]
            await source.begun.acquire()
            source.go.set()
            results = await asyncio.gather(*asking, return_exceptions=True)
            assert {result if expected == 1 else type(result) for result in results} == {expected}
            clock.advance(61)
        assert await cache.get("a", source) == 2
    assert source.loads == 3


async def test_who_goes_away_does_not_take_the_load_along(store, clock):
    """Neither for the others nor for who comes next."""
    source = Source(1)
    source.go.clear()
    async with cache_of(store, clock) as cache:
        first = asyncio.create_task(cache.get("a", source))
        await source.begun.acquire()
        second = asyncio.create_task(cache.get("a", source))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        source.go.set()
        assert await second == 1
        assert await cache.get("a", source) == 1
    assert source.loads == 1


async def test_a_stale_value_is_given_at_once_while_one_newer_is_loaded(store, clock):
    """Nobody waits, and one load is enough; after the stale time everybody does."""
    source = Source(1, 2, 3)
    async with cache_of(store, clock, stale=30) as cache:
        await cache.get("a", source)
        clock.advance(61)
        source.go.clear()
        assert [await cache.get("a", source) for _ in range(5)] == [1] * 5
        source.go.set()
        await settle(cache)
        assert await cache.get("a", source) == 2
        assert source.loads == 2
        clock.advance(91)
        assert await cache.get("a", source) == 3


async def test_a_refresh_that_fails_is_tried_again_later(store, clock, caplog):
    """Not with every request; the stale value stays for its time, and not longer."""
    source = Source(1, ConnectionError("down"))
    async with cache_of(store, clock, ttl=100, stale=30) as cache:
        await cache.get("a", source)
        clock.advance(101)
        with caplog.at_level(logging.WARNING, "fastness.cache"):
            for _ in range(3):
                assert await cache.get("a", source) == 1
                await settle(cache)
        assert source.loads == 2
        assert "ConnectionError" in caplog.text
        clock.advance(11)
        assert await cache.get("a", source) == 1
        await settle(cache)
        assert source.loads == 3
        clock.advance(20)
        with pytest.raises(ConnectionError):
            await cache.get("a", source)


async def test_what_is_not_there_is_kept_only_if_asked_for(store, clock):
    """For a time of its own."""
    source = Source(None)
    async with cache_of(store, clock) as cache:
        assert [await cache.get("a", source) for _ in range(2)] == [None, None]
        assert source.loads == 2
    async with cache_of(store, clock, negative_ttl=5, stale=60) as cache:
        assert [await cache.get("a", source) for _ in range(2)] == [None, None]
        assert source.loads == 3
        clock.advance(5.1)
        await cache.get("a", source)
        assert source.loads == 4


async def test_what_is_forgotten_is_loaded_again(store, clock):
    """Also when it is just being loaded: what was read before a change is not kept after it."""
    source = Source("old", "new")
    async with cache_of(store, clock, str) as cache:
        source.go.clear()
        first = asyncio.create_task(cache.get("a", source))
        await source.begun.acquire()
        await cache.forget("a")
        second = asyncio.create_task(cache.get("a", source))
        await source.begun.acquire()
        source.go.set()
        assert (await first, await second) == ("old", "new")
        assert await cache.get("a", source) == "new"
        await cache.forget("a")
        await cache.get("a", source)
    assert source.loads == 3


async def test_names_and_versions_are_apart(store, clock):
    """What another cache, or another version of this one, has kept is not seen."""
    for number, options in enumerate([{"name": "a"}, {"name": "b"}, {"name": "a", "version": 2}]):
        async with cache_of(store, clock, **options) as cache:
            assert await cache.get("k", Source(number)) == number


@pytest.mark.parametrize("kept", [b"", b"garbage", b"[1,9e9,9e9,true]\nnot json", b'[1,9e9,9e9,true]\n"text"', b"\xff\n"])
async def test_what_cannot_be_read_is_a_miss(store, clock, kept):
    """Another version of the service may have written it."""
    before = sample("fastness_cache_errors_total", cache="test", step="decode")
    async with cache_of(store, clock) as cache:
        await store.set("test:1:a", kept, 60)
        assert await cache.get("a", Source(1)) == 1
        assert await cache.get("a", Source(2)) == 1
    assert sample("fastness_cache_errors_total", cache="test", step="decode") > before


async def test_expiry_is_spread(store, clock):
    """Values that were loaded together do not all expire together, and none lasts longer than was said."""
    async with cache_of(store, clock, ttl=100, jitter=0.5) as cache:
        for number in range(100):
            await cache.get(str(number), Source(1))
        clock.advance(75)
        again = Source(2)
        values = [await cache.get(str(number), again) for number in range(100)]
        assert 0 < again.loads < 100
        assert set(values) == {1, 2}
        clock.advance(26)
        for number in range(100):
            await cache.get(str(number), again)
        assert again.loads >= 100 - values.count(2)


class BrokenStore:
    """Fails in the given way, once it is told to."""

    def __init__(self, store):
        self.store, self.how = store, None

    async def _step(self, name, *arguments):
        if self.how == "hang":
            await asyncio.Event().wait()
        if self.how is not None:
            raise self.how
        return await getattr(self.store, name)(*arguments)

    async def get(self, key):
        return await self._step("get", key)

    async def set(self, key, value, seconds):
        await self._step("set", key, value, seconds)

    async def delete(self, key):
        await self._step("delete", key)


@pytest.mark.parametrize("how", ["hang", ConnectionError("refused"), KeyError("bug")])
async def test_a_store_that_fails_or_hangs_is_a_miss(store, clock, how, caplog):
    """The value is loaded, within the time of the store; that is counted, and logged once."""
    broken = BrokenStore(store)
    before = sample("fastness_cache_errors_total", cache="broken", step="get")
    async with cache_of(broken, clock, name="broken", store_timeout=0.01 if how == "hang" else 60) as cache:
        source = Source(1)
        broken.how = how
        with caplog.at_level(logging.WARNING, "fastness.cache"):
            assert [await cache.get("a", source) for _ in range(3)] == [1, 1, 1]
            await cache.forget("a")
        broken.how = None
        await cache.get("a", source)
        assert await cache.get("a", source) == 1
    assert source.loads == 4
    assert sample("fastness_cache_errors_total", cache="broken", step="get") == before + 3
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def test_a_load_has_a_time_limit(store, clock):
    """Of the cache's own."""
    source = Source(1)
    source.go.clear()
    async with cache_of(store, clock, load_timeout=0.01) as cache:
        with pytest.raises(TimeoutError):
            await cache.get("a", source)


async def test_a_load_goes_on_with_the_trace_but_not_with_the_request(store, clock):
    """Its deadline and its principal are not those of whoever happened to ask first."""
    seen = []

    async def load():
        seen.append(current())
        return 1

    asking = RequestContext("req-1", "0" * 31 + "1", "1" * 16, True)
    asking.deadline, asking.principal, asking.tenant = 0.0, "alice", "acme"
    async with cache_of(store, clock) as cache:
        with within(asking):
            await cache.get("a", load)
        await cache.get("b", load)
    context, none = seen
    assert (context.request_id, context.trace_id, context.span_id, context.sampled) == (
        "req-1",
        asking.trace_id,
        "1" * 16,
        True,
    )
    assert (context.principal, context.tenant, none) == (None, None, None)
    assert 0 < context.remaining() <= 10


async def test_closing_ends_what_is_loaded(store, clock):
    """And who waits is told why, not cancelled. Nothing is left."""
    source = Source(1)
    async with no_leaks():
        async with cache_of(store, clock, stale=60) as cache:
            await cache.get("b", source)
            clock.advance(61)
            source.go.clear()
            asking = asyncio.create_task(cache.get("a", source))
            assert await cache.get("b", source) == 1
            for _ in range(3):
                await source.begun.acquire()
        with pytest.raises(RuntimeError, match="closed"):
            await asking
        with pytest.raises(RuntimeError, match="not open"):
            await cache.get("a", source)


async def test_metrics_tell_hits_and_loads(store, clock):
    """By the declared name."""
    source = Source(1, KeyError("x"))
    async with cache_of(store, clock, name="measured", stale=30) as cache:
        for _ in range(3):
            await cache.get("a", source)
        clock.advance(61)
        await cache.get("a", source)
        await settle(cache)
    counted = {
        result: sample("fastness_cache_requests_total", cache="measured", result=result) for result in ("hit", "stale", "miss")
    }
    assert counted == {"hit": 2, "stale": 1, "miss": 1}
    assert sample("fastness_cache_load_seconds_count", cache="measured", outcome="ok") == 1
    assert sample("fastness_cache_load_seconds_count", cache="measured", outcome="failed") == 1


async def test_kinds_that_are_no_class(store, clock):
    """A `TypeAdapter` says anything that pydantic can."""
    async with cache_of(store, clock, TypeAdapter(int | str)) as cache:
        assert await cache.get("a", Source("x")) == "x"
        assert await cache.get("a", Source(1)) == "x"


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": float("inf")},
        {"stale": -1},
        {"negative_ttl": 0},
        {"jitter": 1},
        {"load_timeout": 0},
        {"store_timeout": 0},
        {"name": ""},
        {"name": "a:b"},
        {"version": "1:2"},
    ],
)
def test_options_out_of_range_are_refused(store, options):
    """By name, when it is made."""
    with pytest.raises(ValueError, match="cache"):
        Cache(**{"name": "x", "kind": int, "store": store, "ttl": 60, **options})
