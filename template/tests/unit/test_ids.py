"""Identifiers."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import new_id, tagged, uuid7

times = st.integers(min_value=0, max_value=(1 << 48) * 1_000_000 - 1)
entropies = st.integers(min_value=0, max_value=(1 << 62) - 1)


@given(times, entropies)
def test_version_variant_and_time_are_where_the_standard_has_them(nanoseconds: int, entropy: int) -> None:
    """RFC 9562, section 5.7."""
    made = uuid7(nanoseconds=nanoseconds, entropy=entropy)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == nanoseconds // 1_000_000
    assert made.int & (1 << 62) - 1 == entropy


@given(times, times, entropies, entropies)
def test_ids_sort_by_time(first: int, second: int, entropy: int, other: int) -> None:
    """An id made a microsecond later sorts after, whatever its random part is."""
    earlier, later = sorted((first, second))
    if later - earlier >= 1_000:
        assert uuid7(nanoseconds=earlier, entropy=entropy) < uuid7(nanoseconds=later, entropy=other)


def test_ids_differ() -> None:
    """A thousand ids are a thousand ids."""
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_tagged_id_says_what_it_names() -> None:
    """The public form is the prefix and 32 hexadecimal digits."""
    assert tagged("evt", UUID(int=7 << 76)) == "evt_00000000000070000000000000000000"
