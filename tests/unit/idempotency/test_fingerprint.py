"""Parts that are hashed together do not run into each other."""

from hypothesis import given
from hypothesis import strategies as st

from fastness.idempotency.fingerprint import digest

TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["", "1:", "-;", "0:"]))
PARTS = st.lists(st.one_of(st.none(), TEXTS), max_size=4)


@given(PARTS, PARTS)
def test_different_parts_have_different_digests(one, other):
    """Moving a character from one part to the next, or leaving a part out, changes the digest."""
    assert (digest(one) == digest(other)) == (one == other)
    assert len(digest(one)) == 32
