"""Secrets do not get into a log, whatever is logged."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.auth.api_keys import generate_api_key
from fastness.telemetry.logs import encode
from fastness.telemetry.redaction import REDACTED, Redactor

redactor = Redactor()
SECRET = "Zq9kX2vTn7Wb4Rj8"

secrets = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=12, max_size=40)
words = st.text("abcdefghij ", max_size=20)
names = st.sampled_from(
    [
        "password",
        "DB_PASSWORD",
        "dbPassword",
        "api_key",
        "X-Api-Key",
        "clientSecret",
        "refresh_token",
        "Authorization",
        "set-cookie",
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: basic {SECRET}==",
        f"Authorization: Custom something {SECRET}",
        f"{{'authorization': 'Bearer {SECRET}'}}",
        f'{{"client_secret": "a\\"{SECRET}", "x": 1}}',
        f"Cookie: a=b; session={SECRET}",
        f"GET /reset?token={SECRET}&page=1",
        f"host=db password='two words {SECRET}' dbname=app",
        f"postgresql+psycopg://app:{SECRET}@db:5432/app",
        f"redis://:{SECRET}@cache/0",
        f"amqp://app:p@ss{SECRET}@queue",
        f"got eyJhbGciOiJIUzI1NiJ9.eyJ{SECRET}.{SECRET}",
        f"Settings(password={SECRET!r}, port=1)",
        f"Settings(password=b'{SECRET}')",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"env DATABASE_PASSWORD={SECRET}",
        "x" * 16_380 + f" password={SECRET}",
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text: str) -> None:
    """Credentials are recognised in any text: header lines, URLs, DSNs, queries, reprs, JSON, PEM."""
    assert SECRET not in redactor.text(text)


@pytest.mark.parametrize(
    "text",
    [
        "delivered 3 events to https://example.org:8443/hooks?email=a@b.example in 12 ms",
        "token bucket is empty",
        "the basic plan has no secret sauce",
        "GET /v1/events/01J9Z3K5T8 200",
        '{"event": "order.created", "amount": 12.5}',
        "2026-11-22T16:15:32.655Z order:1234 state=paid",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    """Plain text, URLs without passwords and ordinary fields stay as they are."""
    assert redactor.text(text) == text


def test_a_long_text_is_cut_off_and_no_more_of_it_searched() -> None:
    """At 16 KiB; what is looked at beyond is 4 KiB, so that a credential at the cut is recognised."""
    assert redactor.text("x" * 16_384) == "x" * 16_384
    assert redactor.text("x" * 16_385) == "x" * 16_384 + " [cut off, 16385 characters]"
    shown = redactor.text("Bearer " + "A" * 10_000 + " " + "x" * 100_000)
    left = 16_384 + 4_096 - len("Bearer ") - 10_000 - len(" ")
    assert shown == f"Bearer {REDACTED} " + "x" * left + " [cut off, 110008 characters]"


def test_api_keys_keep_their_public_part() -> None:
    """Of a Fastness API key the id stays, by which it can be found and revoked; the secret goes."""
    key = generate_api_key("relay").key
    shown = redactor.text(f"refused {key} at the door")
    assert key not in shown
    assert shown == f"refused {key.rsplit('_', 1)[0]}_{REDACTED} at the door"


@given(name=names, secret=secrets, around=st.dictionaries(words, st.one_of(words, st.integers()), max_size=3))
def test_secret_names_are_redacted_at_any_depth(name: str, secret: str, around: dict[str, Any]) -> None:
    """A field with a secret's name loses its value: nested, in lists, in any case and spelling, whatever its type."""
    for value in (secret, [secret], {"inner": secret}, secret.encode()):
        shown = redactor.fields({**around, "outer": [{"deep": {name: value}}], name: value})
        assert secret not in json.dumps(shown)
        assert shown[name] == REDACTED


@given(before=words, secret=secrets, after=words)
def test_url_passwords_are_redacted_in_any_text(before: str, secret: str, after: str) -> None:
    """A password in a URL never comes through, whatever stands around it."""
    assert secret not in redactor.text(f"{before} postgres://app:{secret}@db/app {after}")
    assert secret not in redactor.text(f"{before} Bearer {secret} {after}")


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner), st.tuples(inner)),
        max_leaves=20,
    )
)
def test_everything_becomes_json_on_one_line(value: Any) -> None:
    """Any value can be logged: the result is valid JSON in ASCII, without a line break."""
    line = encode(redactor.fields({"value": value}))
    assert line.isascii()
    assert line.isprintable()
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_what_cannot_be_read_does_not_raise() -> None:
    """Cycles, endless nesting, huge values and objects that raise come out as bounded text."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    class BrokenDict(dict[str, int]):
        def items(self) -> Any:
            raise RuntimeError

    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    shown = redactor.fields(
        {"cycle": cycle, "broken": Broken(), "dict": BrokenDict(a=1), "many": list(range(10_000)), "long": "x" * 1_000_000}
    )
    assert "[nested too deep]" in json.dumps(shown["cycle"])
    assert shown["broken"] == "[unreadable Broken]"
    assert shown["dict"] == "[unreadable BrokenDict]"
    assert len(shown["many"]) == 201
    assert len(shown["long"]) < 17_000


def test_names_can_be_added() -> None:
    """A service names further fields that are secret to it."""
    assert Redactor(["iban"]).fields({"IBAN": "DE00", "iban_country": "DE"}) == {"IBAN": REDACTED, "iban_country": "DE"}


def test_that_a_secret_is_missing_is_shown() -> None:
    """None and booleans under a secret's name are no secrets, and help to find what is wrong."""
    shown = {"password": None, "secret": False, "token": True}
    assert redactor.fields(shown) == shown


def test_of_a_long_name_the_end_counts() -> None:
    """A hundred characters are enough for any name, and what a stranger sends may have millions."""
    name, longer = "password" + "x" * 92, "password" + "x" * 93
    assert redactor.fields({name: SECRET, longer: "seen"}) == {name: REDACTED, longer: "seen"}
    assert redactor.text(f"{name}={SECRET} {longer}=seen") == f"{name}={REDACTED} {longer}=seen"


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["list", "dict"])
def test_values_are_shown_seven_deep(wrap: Any) -> None:
    """What lies deeper is named, and not looked at."""

    def nested(depth: int, value: Any) -> Any:
        return nested(depth - 1, wrap(value)) if depth else value

    assert redactor.fields({"value": nested(7, "end")}) == {"value": nested(7, "end")}
    assert redactor.fields({"value": nested(8, "end")}) == {"value": nested(7, "[nested too deep]")}


def test_of_many_items_two_hundred_are_shown() -> None:
    """And how many more there were."""
    assert redactor.value(list(range(200))) == list(range(200))
    assert redactor.value(list(range(205))) == [*range(200), "5 more"]
    fields = {str(number): number for number in range(205)}
    assert redactor.fields(fields) == {**dict(list(fields.items())[:200]), "...": "5 more"}


def test_values_of_other_kinds() -> None:
    """Names become text, bytes their number, and objects what they say of themselves."""
    assert redactor.fields({1: b"abc", "b": bytearray(4), "c": 1 + 2j}) == {"1": "[3 bytes]", "b": "[4 bytes]", "c": "(1+2j)"}


@pytest.mark.parametrize("part", ["a", "a.a", "eyJ", "token", "token=", "a:", 'password="', "bearer ", "http://a:", "\\", "= "])
def test_hostile_text_takes_linear_time(part: str) -> None:
    """No text makes the patterns go back and forth over it."""
    start = time.process_time()
    redactor.text(part * (20_000 // len(part)))
    assert time.process_time() - start < 1
