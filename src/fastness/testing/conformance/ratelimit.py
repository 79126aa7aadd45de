"""What every store of rate limits must do: the answers of GCRA, key by key, whatever the order of requests."""

# ruff: noqa: S101 - tests

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastness.ratelimit import Limit, Store, Verdict
from fastness.testing.clock import ManualClock

_runs = itertools.count()


class Model:
    """GCRA in its plainest form, in whole microseconds and with a list of buckets instead of a schedule.

    A bucket holds `capacity` microseconds' worth of quota and fills by one microsecond each microsecond; a request takes one
    interval out of it. (The stores keep the time at which the bucket will be full; the two forms must agree.)
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.level: dict[str, int] = {}
        self.at: dict[str, int] = {}

    def hit(self, key: str, now: int) -> Verdict:
        """The verdict on one request of `key` at microsecond `now`."""
        full = self.limit.capacity
        level = min(full, self.level.get(key, full) + max(0, now - self.at.get(key, now)))
        allowed = level >= self.limit.interval
        self.level[key] = level - self.limit.interval * allowed
        self.at[key] = now
        return Verdict(self.limit, allowed, full - self.level[key])


class StoreConformance:
    """Subclass it and override the fixture `make_store`, which makes a store with the clock that it is given.

    The store may be shared with other tests: each test uses keys of its own.
    """

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def make_store(self) -> Callable[[ManualClock], Store]:
        """Override it."""
        raise NotImplementedError("override the fixture make_store: it gives a function from a clock to a store")

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock of `store`."""
        return ManualClock()

    @pytest.fixture
    def store(self, make_store: Callable[[ManualClock], Store], clock: ManualClock) -> Store:
        """The store under test."""
        return make_store(clock)

    @staticmethod
    async def hit(store: Store, key: str, limit: Limit) -> Verdict:
        """The store's verdict, waited for if need be."""
        verdict = store.hit(key, limit)
        return verdict if isinstance(verdict, Verdict) else await verdict

    async def test_burst_then_one_per_interval(self, store: Store, clock: ManualClock) -> None:
        """An idle key may send its burst at once, then one request per interval."""
        limit, key = Limit(6, 600), unique("burst")
        assert [(await self.hit(store, key, limit)).remaining for _ in range(6)] == [5, 4, 3, 2, 1, 0]
        refused = await self.hit(store, key, limit)
        assert (refused.allowed, refused.remaining, refused.wait) == (False, 0, 100)
        clock.advance(99.999)
        assert not (await self.hit(store, key, limit)).allowed
        clock.advance(0.001)
        assert (await self.hit(store, key, limit)).allowed
        assert not (await self.hit(store, key, limit)).allowed

    async def test_a_refusal_costs_nothing(self, store: Store, clock: ManualClock) -> None:
        """A client that is refused again and again is let in as soon as one that waits."""
        limit, key = Limit(1, 600), unique("refusal")
        assert (await self.hit(store, key, limit)).allowed
        for _ in range(5):
            clock.advance(100)
            assert not (await self.hit(store, key, limit)).allowed
        clock.advance(100)
        assert (await self.hit(store, key, limit)).allowed

    async def test_burst_differs_from_count(self, store: Store, clock: ManualClock) -> None:
        """A burst smaller or larger than the count bounds what is sent at once, not the rate."""
        for burst in (1, 3, 20):
            limit, key = Limit(6, 600, burst), unique("bursts")
            allowed = [(await self.hit(store, key, limit)).allowed for _ in range(burst + 1)]
            assert allowed == [True] * burst + [False]
            clock.advance(100)
            assert (await self.hit(store, key, limit)).allowed

    async def test_keys_are_apart(self, store: Store) -> None:
        """Keys do not share quota, whatever they are made of, however long they are."""
        limit, base = Limit(1, 600), unique("keys")
        for suffix in ("", " ", "\0", "\n", ":", "é", "\ud800", "x" * 10_000, "x" * 10_001):
            assert (await self.hit(store, base + suffix, limit)).allowed
            assert not (await self.hit(store, base + suffix, limit)).allowed

    async def test_an_idle_key_has_its_whole_quota(self, store: Store, clock: ManualClock) -> None:
        """What was idle for long has its burst again, and no more."""
        limit, key = Limit(3, 600), unique("idle")
        for _ in range(3):
            assert [(await self.hit(store, key, limit)).allowed for _ in range(4)] == [True, True, True, False]
            clock.advance(100_000)

    async def test_a_clock_that_is_set_back_locks_nobody_out(self, store: Store, clock: ManualClock) -> None:
        """A debt that lies further in the future than the whole quota is void."""
        limit, key = Limit(2, 600), unique("back")
        clock.advance(86_400)
        assert [(await self.hit(store, key, limit)).allowed for _ in range(3)] == [True, True, False]
        clock.advance(-86_400)
        assert [(await self.hit(store, key, limit)).allowed for _ in range(3)] == [True, True, False]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        limit=st.builds(Limit, st.integers(1, 12), st.integers(1200, 7200), st.integers(0, 15)),
        steps=st.lists(
            st.tuples(st.sampled_from("ab"), st.one_of(st.just(0.0), st.floats(0, 900), st.floats(0, 20_000))), max_size=40
        ),
    )
    async def test_same_verdicts_as_the_model(
        self, make_store: Callable[[ManualClock], Store], limit: Limit, steps: list[tuple[str, float]]
    ) -> None:
        """Step by step, the verdicts are those of the reference model: allowed, remaining and waiting time."""
        clock, model, run = ManualClock(), Model(limit), unique("model")
        store = make_store(clock)
        for key, pause in steps:
            clock.advance(pause)
            expected = model.hit(key, int(clock() * 1_000_000))
            assert await self.hit(store, f"{run}{key}", limit) == expected


def unique(name: str) -> str:
    """A key that no other test of this process uses."""
    return f"{name}-{next(_runs)}-"
