"""Cursors."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.paging import CURSOR_PATTERN, decode_cursor, encode_cursor


@given(st.uuids())
def test_a_cursor_leads_back_to_its_position(position: UUID) -> None:
    """What is encoded is decoded."""
    cursor = encode_cursor(position)
    assert re.fullmatch(CURSOR_PATTERN, cursor)
    assert decode_cursor(cursor) == position


@given(st.from_regex(CURSOR_PATTERN, fullmatch=True).map(str.strip))
def test_every_text_of_the_documented_form_is_a_cursor(cursor: str) -> None:
    """A client that sticks to the schema is never refused, and two cursors are never the same position."""
    assert encode_cursor(decode_cursor(cursor)) == cursor


@given(st.text())
def test_other_text_is_refused(text: str) -> None:
    """Whatever a client makes up gives a position or a ValueError."""
    try:
        position = decode_cursor(text)
    except ValueError:
        return
    assert encode_cursor(position) == text


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 23, "A" * 21 + "B", "é" * 22, "A" * 21 + "\n"])
def test_near_misses_are_refused(text: str) -> None:
    """Wrong length, stray bits, other alphabets."""
    with pytest.raises(ValueError, match="not a cursor"):
        decode_cursor(text)
