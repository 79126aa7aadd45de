"""What every store of a cache must do: keep bytes for a time, key by key; and if it is shared, lend the right to load."""

# ruff: noqa: S101 - tests

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest

from fastness.cache import SharedStore, Store

HOUR = 3600.0


class StoreConformance:
    """Subclass it and override the fixtures `store` and `pass_time`.

    The store may be shared with other tests: each test uses keys of its own.
    """

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def store(self) -> Store:
        """Override it: the store under test."""
        raise NotImplementedError("override the fixture store: it gives the store under test")

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[None]]:
        """Override it: lets seconds pass for what the store keeps."""
        raise NotImplementedError("override the fixture pass_time: it gives a function that lets seconds pass")

    async def test_what_is_set_is_there(self, store: Store) -> None:
        """The last value of a key, byte for byte, whatever the bytes are."""
        key = unique()
        assert await store.get(key) is None
        for value in (b"", b"\0\r\n", bytes(range(256)) * 40, b"last"):
            await store.set(key, value, HOUR)
            assert await store.get(key) == value
        assert await store.get(key) == b"last"

    async def test_what_is_deleted_is_gone(self, store: Store) -> None:
        """Also when it was not there."""
        key = unique()
        await store.delete(key)
        await store.set(key, b"x", HOUR)
        await store.delete(key)
        assert await store.get(key) is None

    async def test_keys_are_apart(self, store: Store) -> None:
        """Whatever they are made of, however long they are."""
        base = unique()
        keys = [base + suffix for suffix in ("", " ", "\0", "\n", ":", "{", "é", "\ud800", "x" * 1_000, "x" * 1_001)]
        for number, key in enumerate(keys):
            await store.set(key, str(number).encode(), HOUR)
        assert [await store.get(key) for key in keys] == [str(number).encode() for number in range(len(keys))]
        await store.delete(keys[0])
        assert await store.get(keys[1]) == b"1"

    async def test_a_value_ends(self, store: Store, pass_time: Callable[[float], Awaitable[None]]) -> None:
        """After its seconds, counted from when it was last set."""
        key = unique()
        await store.set(key, b"x", 2 * HOUR)
        await store.set(key, b"y", HOUR)
        await pass_time(HOUR - 60)
        assert await store.get(key) == b"y"
        await store.set(key, b"z", HOUR)
        await pass_time(HOUR - 60)
        assert await store.get(key) == b"z"
        await pass_time(120)
        assert await store.get(key) is None


class SharedStoreConformance(StoreConformance):
    """For stores that several processes share."""

    @pytest.fixture
    def store(self) -> SharedStore:
        """Override it: the store under test."""
        raise NotImplementedError("override the fixture store: it gives the store under test")

    async def test_it_says_that_it_is_shared(self, store: SharedStore) -> None:
        """A cache recognises it."""
        assert isinstance(store, SharedStore)

    async def test_one_has_the_lease(self, store: SharedStore) -> None:
        """Of many who ask at once; of another key, another one."""
        key = unique()
        tokens = await asyncio.gather(*(store.lease(key, HOUR) for _ in range(20)))
        assert len([token for token in tokens if token is not None]) == 1
        assert await store.lease(unique(), HOUR) is not None

    async def test_a_lease_is_given_back(self, store: SharedStore) -> None:
        """By who has it, and by nobody else."""
        key = unique()
        token = await store.lease(key, HOUR)
        assert token is not None
        await store.release(key, "another")
        assert await store.lease(key, HOUR) is None
        await store.release(key, token)
        assert await store.lease(key, HOUR) is not None

    async def test_a_lease_ends(self, store: SharedStore, pass_time: Callable[[float], Awaitable[None]]) -> None:
        """Whoever had it may have died. What it does later changes nothing."""
        key = unique()
        late = await store.lease(key, HOUR)
        await pass_time(HOUR + 60)
        token = await store.lease(key, HOUR)
        assert late is not None
        assert token is not None
        assert not await store.fill(key, b"late", HOUR, late)
        await store.release(key, late)
        assert await store.get(key) is None
        assert await store.lease(key, HOUR) is None

    async def test_filling_sets_and_gives_back(self, store: SharedStore, pass_time: Callable[[float], Awaitable[None]]) -> None:
        """In one step, once; the value ends like any other."""
        key = unique()
        token = await store.lease(key, HOUR)
        assert token is not None
        assert await store.fill(key, b"\0x", HOUR, token)
        assert await store.get(key) == b"\0x"
        assert not await store.fill(key, b"again", HOUR, token)
        assert await store.get(key) == b"\0x"
        assert await store.lease(key, HOUR) is not None
        await pass_time(HOUR + 60)
        assert await store.get(key) is None

    async def test_deleting_voids_the_lease(self, store: SharedStore) -> None:
        """What was loaded from before a change must not be kept after it."""
        key = unique()
        token = await store.lease(key, HOUR)
        assert token is not None
        await store.delete(key)
        assert not await store.fill(key, b"old", HOUR, token)
        assert await store.get(key) is None


def unique() -> str:
    """A key that no other test uses."""
    return uuid.uuid4().hex
