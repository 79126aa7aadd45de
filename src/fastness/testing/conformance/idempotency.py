"""What every store of idempotency keys must do: one owner for a key, and never a second one before the key expires."""

# ruff: noqa: S101 - tests

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastness.idempotency import State, Store, Verdict
from fastness.testing.clock import ManualClock

_runs = itertools.count()
_PRINT = bytes(32)
_OTHER = bytes(31) + b"\1"
_LEASE, _KEEP = 30.0, 3600.0
_STARTED, _RUNNING = Verdict(State.STARTED), Verdict(State.RUNNING)
_UNKNOWN, _MISMATCH = Verdict(State.UNKNOWN), Verdict(State.MISMATCH)


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

    @pytest.fixture
    def key(self) -> bytes:
        """A key that no other test uses."""
        return unique()

    @staticmethod
    async def begin(
        store: Store, key: bytes, owner: str, *, fingerprint: bytes = _PRINT, lease: float = _LEASE, keep: float = _KEEP
    ) -> Verdict:
        """`store.begin` with what most tests need."""
        return await store.begin(key, fingerprint=fingerprint, owner=owner, lease=lease, keep=keep)

    async def test_the_first_takes_the_key(self, store: Store, key: bytes) -> None:
        """The first request owns the key; others wait, and another key is another matter."""
        assert await self.begin(store, key, "first") == _STARTED
        assert await self.begin(store, key, "second") == _RUNNING
        assert await self.begin(store, unique(), "second") == _STARTED

    async def test_one_of_many_takes_the_key(self, store: Store, key: bytes) -> None:
        """However many ask at once, exactly one owns the key."""
        verdicts = await asyncio.gather(*(self.begin(store, key, str(number)) for number in range(20)))
        assert sorted(verdict.state for verdict in verdicts) == [State.RUNNING] * 19 + [State.STARTED]

    async def test_what_was_stored_comes_back(self, store: Store, key: bytes) -> None:
        """A finished request is answered with its bytes, whatever they are, any number of times."""
        for value in (b"", bytes(range(256)), b"x" * 1_000_000):
            key = unique()
            await self.begin(store, key, "first")
            assert await store.finish(key, owner="first", value=value, keep=_KEEP)
            for _ in range(2):
                assert await self.begin(store, key, "second") == Verdict(State.DONE, value)

    async def test_another_request_with_the_key_is_told(self, store: Store, clock: ManualClock, key: bytes) -> None:
        """A request with another fingerprint is a mismatch in every state, and changes none."""
        await self.begin(store, key, "first")
        assert await self.begin(store, key, "second", fingerprint=_OTHER) == _MISMATCH
        clock.advance(_LEASE + 1)
        assert await self.begin(store, key, "second", fingerprint=_OTHER) == _MISMATCH
        assert await self.begin(store, key, "second") == _UNKNOWN
        await store.finish(key, owner="first", value=b"done", keep=_KEEP)
        assert await self.begin(store, key, "second", fingerprint=_OTHER) == _MISMATCH
        assert await self.begin(store, key, "second") == Verdict(State.DONE, b"done")

    async def test_a_lease_that_ran_out_is_never_run_again(self, store: Store, clock: ManualClock, key: bytes) -> None:
        """When the owner is not heard of, the outcome is unknown until the key expires; only then is it new."""
        await self.begin(store, key, "first")
        clock.advance(_LEASE - 0.5)
        assert await self.begin(store, key, "second") == _RUNNING
        for _ in range(5):
            clock.advance(_LEASE)
            assert await self.begin(store, key, "second") == _UNKNOWN
        clock.advance(_KEEP)
        assert await self.begin(store, key, "second") == _STARTED

    async def test_a_lease_is_renewed(self, store: Store, clock: ManualClock, key: bytes) -> None:
        """An owner that is heard of keeps its key for as long as it takes; a lease of 0 ends it."""
        await self.begin(store, key, "first")
        for _ in range(10):
            clock.advance(_LEASE - 1)
            assert await store.extend(key, owner="first", lease=_LEASE)
            assert await self.begin(store, key, "second") == _RUNNING
        assert await store.extend(key, owner="first", lease=0)
        assert await self.begin(store, key, "second") == _UNKNOWN

    async def test_an_owner_may_finish_late(self, store: Store, clock: ManualClock, key: bytes) -> None:
        """An owner whose lease ran out still knows what became of the request, and nobody else has run it."""
        await self.begin(store, key, "first")
        clock.advance(_LEASE * 2)
        assert await self.begin(store, key, "second") == _UNKNOWN
        assert await store.finish(key, owner="first", value=b"late", keep=_KEEP)
        assert await self.begin(store, key, "second") == Verdict(State.DONE, b"late")

    async def test_a_released_key_is_new(self, store: Store, key: bytes) -> None:
        """What was refused leaves nothing, not even its fingerprint."""
        await self.begin(store, key, "first")
        assert await store.release(key, owner="first")
        assert await self.begin(store, key, "second", fingerprint=_OTHER) == _STARTED

    async def test_only_the_owner_changes_an_entry(self, store: Store, key: bytes) -> None:
        """Who does not own a key can neither renew, finish nor release it, nor one that is not there."""
        await self.begin(store, key, "first")
        for other in (key, unique()):
            assert not await store.extend(other, owner="second", lease=_LEASE)
            assert not await store.finish(other, owner="second", value=b"wrong", keep=_KEEP)
            assert not await store.release(other, owner="second")
        assert await self.begin(store, key, "second") == _RUNNING

    async def test_what_is_done_stays_done(self, store: Store, key: bytes) -> None:
        """A finished entry is neither renewed nor released, not even by its owner."""
        await self.begin(store, key, "first")
        await store.finish(key, owner="first", value=b"done", keep=_KEEP)
        assert not await store.extend(key, owner="first", lease=0)
        assert not await store.release(key, owner="first")
        assert await self.begin(store, key, "second") == Verdict(State.DONE, b"done")

    async def test_a_repeated_command_gets_the_same_answer(self, store: Store, key: bytes) -> None:
        """A client library that sends a command twice does not make its request wait for itself, or lose its answer."""
        assert await self.begin(store, key, "first") == await self.begin(store, key, "first") == _STARTED
        for _ in range(2):
            assert await store.finish(key, owner="first", value=b"done", keep=_KEEP)
        assert await self.begin(store, key, "second") == Verdict(State.DONE, b"done")

    async def test_an_answer_expires(self, store: Store, clock: ManualClock, key: bytes) -> None:
        """An answer is kept for as long as was said when it was stored; after that, the key is new."""
        await self.begin(store, key, "first")
        clock.advance(_KEEP / 2)
        await store.finish(key, owner="first", value=b"done", keep=_KEEP)
        clock.advance(_KEEP - 1)
        assert await self.begin(store, key, "second") == Verdict(State.DONE, b"done")
        clock.advance(1)
        assert await self.begin(store, key, "second", fingerprint=_OTHER) == _STARTED

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["begin", "extend", "finish", "release"]),
                st.sampled_from(["first", "second"]),
                st.sampled_from([0, 0, 1, 20, 40]),
            ),
            max_size=30,
        )
    )
    async def test_never_two_runs_of_one_key(
        self, make_store: Callable[[ManualClock], Store], steps: list[tuple[str, str, float]]
    ) -> None:
        """In whatever order owners act and time passes, a key that was started starts again only when it was released."""
        clock, key = ManualClock(), unique()
        store = make_store(clock)
        owner: str | None = None
        done = False
        for step, who, pause in steps:
            clock.advance(pause)
            if step == "begin":
                state = (await self.begin(store, key, who)).state
                assert (state is State.DONE) == done
                if state is State.STARTED:
                    assert owner in (None, who)
                    owner = who
                else:
                    assert owner is not None
            elif step == "extend":
                assert await store.extend(key, owner=who, lease=_LEASE) == (owner == who and not done)
            elif step == "finish":
                stored = await store.finish(key, owner=who, value=b"done", keep=_KEEP)
                assert stored == (owner == who)
                done = done or stored
            else:
                released = await store.release(key, owner=who)
                assert released == (owner == who and not done)
                owner = None if released else owner


def unique() -> bytes:
    """A key that no other test of this process uses."""
    return hashlib.sha256(b"%d" % next(_runs)).digest()
