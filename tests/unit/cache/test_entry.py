"""The bytes that a store keeps."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.cache._entry import Entry

TIMES = st.floats(0, 1e11)


@given(st.none() | st.binary(), TIMES, TIMES)
def test_what_is_packed_is_unpacked(body, fresh_until, ends_at):
    """With or without a value, whatever its bytes."""
    entry = Entry(body, fresh_until, ends_at)
    assert Entry.unpack(entry.pack()) == entry


@given(st.binary())
def test_foreign_bytes_are_an_error_of_one_kind(packed):
    """Whatever somebody else wrote there."""
    with contextlib.suppress(ValueError):
        Entry.unpack(packed)


@pytest.mark.parametrize(
    "packed", [b"", b"\n", b"[]\n", b"[2,1,1,true]\nx", b'[1,"1",1,true]\nx', b"[1,1,1,true]", b"{}\n", b"1\n"]
)
def test_other_formats_are_refused(packed):
    """Also those of later versions."""
    with pytest.raises(ValueError, match=r"cache|Expecting"):
        Entry.unpack(packed)


def test_nothing_is_postponed_beyond_its_end():
    """It stays stale for as long as it was promised, not longer."""
    entry = Entry(b"1", 10, 20)
    assert (entry.postponed(15).fresh_until, entry.postponed(25).fresh_until) == (15, 20)
