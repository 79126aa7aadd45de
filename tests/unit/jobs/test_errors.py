"""What is kept of an error: bounded, on one line, and without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from fastness.jobs.errors import MAX_ERROR, clean, describe


class Violation(Exception):
    """As a driver raises it."""

    sqlstate = "23505"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cannot reach postgresql://user:hunter2@host/db", "cannot reach postgresql://***@host/db"),
        ("password=hunter2 rejected", "password=*** rejected"),
        ('{"api_key": "hunter2", "a": 1}', '{"api_key": ***, "a": 1}'),
        ("Authorization: Bearer hunter2hunter2", "Authorization: ***"),
        ("sent Bearer hunter2.hunter2", "sent Bearer ***"),
        ("one\ntwo\r\n  three\0", "one two three"),
        ("a lone surrogate \ud800", "a lone surrogate ?"),
    ],
)
def test_secrets_and_lines_are_taken_out(text: str, kept: str) -> None:
    """What looks like a credential is replaced; the rest stays readable."""
    assert clean(text) == kept


def test_of_a_database_error_the_kind_is_kept() -> None:
    """Its text quotes rows."""
    error = IntegrityError("INSERT", {}, Violation("Key (email)=(a@b.c) already exists"))
    assert describe(error) == "IntegrityError: Violation (SQLSTATE 23505)"


def test_an_error_that_cannot_be_read_is_an_error_all_the_same() -> None:
    """Its type is known."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Broken()) == "Broken: [unreadable]"
    assert describe(ValueError()) == "ValueError"


@given(st.text(max_size=3000))
def test_it_is_bounded_and_can_be_stored(text: str) -> None:
    """Whatever the text: one line, no NUL, at most the limit, and UTF-8."""
    kept = clean(text)
    assert len(kept) <= MAX_ERROR
    assert "\0" not in kept
    assert "\n" not in kept
    kept.encode()
