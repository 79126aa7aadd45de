"""Which header values are keys, and which."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastness.idempotency.key import MAX_LENGTH, SCHEMA, InvalidKey, parse

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
KEYS = st.text(PRINTABLE, min_size=1, max_size=MAX_LENGTH)


def quoted(key):
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_no_header_is_no_key():
    """A request without the header has no key."""
    assert parse([]) is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('  "a"\t', "a"),
        (r'"say \"hi\" \\ bye"', r'say "hi" \ bye'),
        ('"a"; version=2; note="x y"; flag; when=-1.5; kind=token; ok=?1; data=:YQ==:', "a"),
        ("order 42, first", "order 42, first"),
        ('say "hi"', 'say "hi"'),
        ("x" * MAX_LENGTH, "x" * MAX_LENGTH),
        (quoted('"' * MAX_LENGTH), '"' * MAX_LENGTH),
    ],
)
def test_keys(line, key):
    """A key is a structured field's string, its parameters left aside, or the characters as they are."""
    assert parse([line]) == key


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        '""',
        '"',
        '"a',
        '"a"b',
        '"a" b',
        '"a";',
        '"a";=',
        '"a";B',
        r'"\a"',
        '"é"',
        "é",
        "a\0b",
        "a\x7f",
        "a\tb",
        "\ud800",
    ],
)
def test_what_is_not_a_key(line):
    """Anything else is refused, and not quoted in the error."""
    with pytest.raises(InvalidKey) as caught:
        parse([line])
    assert len(line.strip()) < 3 or line not in str(caught.value)


@pytest.mark.parametrize("line", ["x" * (MAX_LENGTH + 1), quoted("x" * (MAX_LENGTH + 1))])
def test_a_key_that_is_too_long(line):
    """The length that counts is that of the key, without quotes."""
    with pytest.raises(InvalidKey, match="256 characters; it must have 1 to 255"):
        parse([line])


def test_two_headers_are_no_key():
    """Which of two was meant cannot be told, even where they agree."""
    with pytest.raises(InvalidKey, match="2 times"):
        parse(["a", "a"])


@given(KEYS)
def test_every_printable_text_can_be_a_key(key):
    """Quoted, a printable text of 1 to 255 characters is itself."""
    assert parse([quoted(key)]) == key


@given(st.text(PRINTABLE, max_size=300))
def test_plain_and_quoted_are_the_same_key(text):
    """What is taken as it is and what is taken quoted do not differ."""
    try:
        plain = parse([text])
    except InvalidKey:
        return
    assert plain is not None
    assert parse([quoted(plain)]) == plain


@given(st.one_of(st.text(max_size=300), st.text(PRINTABLE, max_size=300), st.from_regex(r'"[ -~]*"(;[ -~]*)?')))
@example('"' + "\\" * 253 + '"')
def test_any_text_is_a_key_or_refused(text):
    """Nothing that a client sends raises anything else, and a key is always 1 to 255 printable characters."""
    try:
        key = parse([text])
    except InvalidKey:
        return
    assert key is not None
    assert re.fullmatch(r"[ -~]{1,255}", key)


@given(st.from_regex(SCHEMA["pattern"], fullmatch=True, alphabet=PRINTABLE).filter(lambda text: len(text) <= MAX_LENGTH))
def test_what_the_documentation_promises_is_taken(text):
    """Every value that fits the schema in the API's document is a key."""
    assert parse([text])
