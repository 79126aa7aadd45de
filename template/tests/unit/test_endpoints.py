"""Endpoints: which events they get, where they may be, how their secrets change."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.endpoints import SUBSCRIPTION_PATTERN, URL_PATTERN, EndpointRules, matches
from app.domain.events import EVENT_TYPE_PATTERN
from app.domain.refusals import UnacceptableURL
from tests.unit.fakes import Clock, make_endpoint

words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=8)
event_types = st.lists(words, min_size=1, max_size=5).map(".".join)


@given(event_types)
def test_a_type_matches_itself_and_every_wildcard_above_it(event_type: str) -> None:
    """`a.b.c` is covered by `a.b.c`, `a.b.*`, `a.*` and `*`."""
    parts = event_type.split(".")
    patterns = [event_type, "*", *(".".join([*parts[:length], "*"]) for length in range(1, len(parts)))]
    assert all(matches(pattern, event_type) for pattern in patterns)
    assert all(re.fullmatch(SUBSCRIPTION_PATTERN, pattern) for pattern in patterns)
    assert re.fullmatch(EVENT_TYPE_PATTERN, event_type)


@given(event_types, event_types)
def test_a_wildcard_covers_exactly_what_is_below_it(prefix: str, event_type: str) -> None:
    """`order.*` covers neither `order` nor `orders.paid`."""
    above, parts = prefix.split("."), event_type.split(".")
    assert matches(f"{prefix}.*", event_type) == (parts[: len(above)] == above != parts)


@given(event_types, event_types)
def test_a_plain_pattern_covers_itself_alone(pattern: str, event_type: str) -> None:
    """Without a wildcard it is equality."""
    assert matches(pattern, event_type) == (pattern == event_type)


@pytest.mark.parametrize(
    "pattern", ["", ".", "order.", ".order", "*.paid", "order.*.paid", "or*", "Order", "order..paid", "order*"]
)
def test_malformed_patterns_are_refused(pattern: str) -> None:
    """A wildcard stands at the end and for whole parts."""
    assert not re.fullmatch(SUBSCRIPTION_PATTERN, pattern)


@given(st.from_regex(URL_PATTERN, fullmatch=True).filter(lambda url: not url.endswith("\n")))
def test_every_url_of_the_documented_form_is_accepted(url: str) -> None:
    """A client that sticks to the schema is refused only for what its installation does not allow."""
    EndpointRules(allow_http=True).check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "ftp://example.com",
        "https://",
        "https://user:password@example.com",
        "https://example.com/#part",
        "https://example.com:0",
        "https://example.com:99999",
        "https://[::1",
        "example.com",
        "",
    ],
)
def test_urls_that_cannot_be_delivered_to_are_refused(url: str) -> None:
    """Absolute, with TLS, without credentials and fragment."""
    with pytest.raises(UnacceptableURL):
        EndpointRules().check_url(url)


def test_a_rotated_secret_overlaps_and_then_ends() -> None:
    """The old secret signs until its time is over, and the change is a new version."""
    clock = Clock()
    endpoint = make_endpoint(clock)
    rotated = endpoint.rotate("whsec_new", at=clock(), overlap=timedelta(hours=1))
    assert rotated.version == endpoint.version + 1
    assert rotated.valid_secrets(clock()) == ("whsec_new", endpoint.secret)
    clock.advance(3600)
    assert rotated.valid_secrets(clock()) == ("whsec_new",)


def test_without_overlap_the_old_secret_ends_at_once() -> None:
    """That is what to do with one that has leaked."""
    clock = Clock()
    rotated = make_endpoint(clock).rotate("whsec_new", at=clock(), overlap=timedelta(0))
    assert rotated.valid_secrets(clock()) == ("whsec_new",)
    assert rotated.previous_secret is None


def test_secrets_do_not_show_in_what_is_logged() -> None:
    """A repr ends up in logs and tracebacks."""
    clock = Clock()
    rotated = make_endpoint(clock, secret="whsec_old").rotate("whsec_new", at=clock(), overlap=timedelta(hours=1))
    assert "whsec" not in repr(rotated)
