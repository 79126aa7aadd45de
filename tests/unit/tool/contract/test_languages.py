"""Containment of regular expressions, held against every short string."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.tool.contract.verdict.languages import Strings, escape

SHORT = ["".join(letters) for size in range(5) for letters in product("ab0\n", repeat=size)]
ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\W", r"\s", "^", "$", "(?:)", "(a|b0)"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "+?", "?", "{2}", "{1,2}", "{2,}"])),
    ),
    max_leaves=6,
)


def found(pattern: str | None, text: str) -> bool:
    """Whether Python finds the expression, with `$` as ECMA-262 has it."""
    return pattern is None or re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None


@given(EXPRESSIONS, EXPRESSIONS, st.integers(0, 2), st.integers(2, 4) | st.none())
def test_answers_hold_for_every_short_string(one: str, other: str, least: int, most: int | None) -> None:
    """A proof is one for each string, and a string that is given escapes."""
    answer = escape(Strings(one, least, most), Strings(other))
    escaping = [
        text for text in SHORT if least <= len(text) <= (most or len(text)) and found(one, text) and not found(other, text)
    ]
    if answer is True:
        assert not escaping
    else:
        assert isinstance(answer, str)
        assert found(one, answer)
        assert not found(other, answer)
        assert least <= len(answer) <= (most or len(answer))


@given(EXPRESSIONS, st.integers(0, 4), st.integers(0, 4) | st.none())
def test_lengths_are_a_language(one: str, low: int, high: int | None) -> None:
    """Lengths that are taken are held against what the expression leaves."""
    answer = escape(Strings(one), Strings(None, low, high))
    if answer is True:
        assert all(low <= len(text) <= (len(text) if high is None else high) for text in SHORT if found(one, text))
    else:
        assert isinstance(answer, str)
        assert found(one, answer)
        assert not low <= len(answer) <= (len(answer) if high is None else high)


@pytest.mark.parametrize("pattern", [r"(?!a)b", r"(a)\1", "(?i)a", r"a\b", "(", "a{,2}", "(?:a{1000}){1000}", r"\p{L}"])
def test_what_is_not_regular_is_not_decided(pattern: str) -> None:
    """Assertions, back references, flags and what is too large or no expression have no answer."""
    assert escape(Strings(pattern), Strings("^a$")) is None
    assert escape(Strings("^a$"), Strings(pattern)) is None


def test_long_lengths_are_not_counted() -> None:
    """A length beyond what is counted proves nothing by itself, and takes nothing from what is proven without it."""
    assert escape(Strings("^a+$", 0, 2083), Strings("^[ab]+$")) is True
    assert escape(Strings("^a+$"), Strings(None, 0, 2083)) is None


def test_a_proof_for_all_lengths_holds_for_some() -> None:
    """An address of at most 254 characters is one of the wider pattern, and nobody counts to 254 for that."""
    sent = Strings(r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$", 0, 254)
    assert escape(sent, Strings(r"^[\w.%+-]+@[\w-]+(\.[\w-]+)*$")) is True


def test_work_has_an_end() -> None:
    """Three hundred choices that may all be left out are many states at once, and are given up."""
    assert escape(Strings("^" + "(a|b)?" * 300 + "$"), Strings("^[ab]{0,299}$")) is None
