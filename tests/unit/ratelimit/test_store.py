"""The memory store forgets what is over, and hostile clients cannot make it grow."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from fastness.ratelimit import Limit, MemoryStore, Store
from fastness.testing import ManualClock

LIMIT = Limit(2, 10)


def test_it_is_a_store():
    """The memory store implements the protocol."""
    assert isinstance(MemoryStore(), Store)


def test_what_owes_nothing_is_forgotten():
    """After two lengths of quota without requests nothing is kept of a key."""
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.hit(f"a{number}", LIMIT)
    clock.advance(10)
    store.hit("b", LIMIT)
    assert store.size == 101
    clock.advance(10)
    store.hit("c", LIMIT)
    assert store.size == 2
    clock.advance(1000)
    store.hit("c", LIMIT)
    assert store.size == 1


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 12)), max_size=200), st.integers(2, 20))
def test_it_never_keeps_more_than_its_bound(steps, max_keys):
    """Whatever comes, there are never more than `max_keys` entries."""
    clock = ManualClock()
    store = MemoryStore(max_keys=max_keys, clock=clock)
    for key, pause in steps:
        clock.advance(pause)
        store.hit(str(key), LIMIT)
        assert store.size <= max_keys


def test_a_flood_of_keys_does_not_make_it_forget_those_it_sees():
    """A client that goes on sending stays refused while strangers fill the store, and the early turn is counted."""
    clock = ManualClock()
    store = MemoryStore(max_keys=100, clock=clock)
    limit = Limit(3, 3600)
    before = REGISTRY.get_sample_value("fastness_ratelimit_early_turns_total") or 0
    allowed = 0
    for number in range(400):
        store.hit(f"stranger {number}", limit)
        if number % 20 == 0:
            clock.advance(0.1)
            allowed += store.hit("attacker", limit).allowed
    assert REGISTRY.get_sample_value("fastness_ratelimit_early_turns_total") - before >= 4
    assert allowed == 3


def test_half_of_the_bound_is_there_for_those_who_come_now():
    """As many keys as that can come in one length of quota before anything is forgotten early."""
    store = MemoryStore(max_keys=100, clock=ManualClock())
    before = REGISTRY.get_sample_value("fastness_ratelimit_early_turns_total") or 0
    for number in range(49):
        store.hit(str(number), LIMIT)
    assert REGISTRY.get_sample_value("fastness_ratelimit_early_turns_total") == before
    store.hit("one more", LIMIT)
    assert REGISTRY.get_sample_value("fastness_ratelimit_early_turns_total") == before + 1


def test_a_long_key_is_kept_short():
    """A key of megabytes takes no megabytes."""
    store = MemoryStore(clock=ManualClock())
    store.hit("x" * 10_000_000, LIMIT)
    (table,) = store._tables.values()
    assert [len(key) for key in table.young] == [64]
    store.hit("x" * 128, LIMIT)
    store.hit("x" * 129, LIMIT)
    assert [len(key) for key in table.young] == [64, 128, 64]


def test_the_bound_must_make_sense():
    """A store for fewer than two keys is refused."""
    with pytest.raises(ValueError, match="max_keys=1"):
        MemoryStore(max_keys=1)
