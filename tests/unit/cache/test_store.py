"""The memory store: what every store must do, within its bounds."""

import pytest

from fastness.cache import MemoryStore, RedisStore, SharedStore
from fastness.testing import ManualClock
from fastness.testing.conformance.cache import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def store(self, clock):
        return MemoryStore(clock=clock)

    @pytest.fixture
    def pass_time(self, clock):
        async def pass_time(seconds):
            clock.advance(seconds)

        return pass_time


def test_only_what_is_shared_says_so():
    """The cache of one process needs no lease."""
    assert not isinstance(MemoryStore(), SharedStore)
    assert isinstance(RedisStore(None), SharedStore)


async def test_what_was_used_last_stays():
    """When there are too many, the one that was not used for longest goes."""
    store = MemoryStore(max_entries=3)
    for key in "abc":
        await store.set(key, b"x", 60)
    await store.get("a")
    await store.set("d", b"x", 60)
    assert [await store.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert len(store) == 3


async def test_bytes_are_bounded():
    """All together; a value that would push out much of the rest is not kept, nor is what it replaces."""
    store = MemoryStore(max_bytes=100)
    for number in range(50):
        await store.set(str(number), b"12345678", 60)
    assert len(store) == 10
    await store.set("49", b"x" * 10, 60)
    assert await store.get("49") is None
    assert await store.get("48") == b"12345678"
    for number in range(50):
        await store.delete(str(number))
    assert store._bytes == 0


@pytest.mark.parametrize("options", [{"max_entries": 0}, {"max_bytes": 0}])
def test_bounds_that_are_none_are_refused(options):
    """A cache without bound is a leak."""
    with pytest.raises(ValueError, match="memory store"):
        MemoryStore(**options)
