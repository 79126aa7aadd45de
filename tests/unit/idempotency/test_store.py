"""The memory store's own: its bound."""

import pytest

from fastness.idempotency import MemoryStore, State, StoreError
from fastness.testing import ManualClock


async def test_a_full_store_refuses_rather_than_forgets():
    """New keys are refused when all entries are taken, until some expire; a known key is still known."""
    clock = ManualClock()
    store = MemoryStore(max_keys=2, clock=clock)

    async def begin(key):
        return (await store.begin(key, fingerprint=b"f", owner=key.decode(), lease=1, keep=10)).state

    assert [await begin(b"a"), await begin(b"b")] == [State.STARTED] * 2
    with pytest.raises(StoreError, match="all 2 entries"):
        await begin(b"c")
    assert await begin(b"a") is State.STARTED
    clock.advance(10)
    assert await begin(b"c") is State.STARTED


def test_a_store_needs_room():
    """A bound below 1 is refused."""
    with pytest.raises(ValueError, match="max_keys=0"):
        MemoryStore(max_keys=0)
