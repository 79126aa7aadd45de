"""Versions and deprecations as values: what they refuse, and what they write."""

from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from fastness.versioning import Deprecated, Version

SINCE = date(2026, 1, 1)


async def headers_of(*deprecated: Deprecated) -> list[tuple[str, str]]:
    """The header lines that dependencies on one route leave, outermost first."""
    response = Response()
    before = list(response.headers.raw)
    connection = HTTPConnection({"type": "http", "method": "GET", "headers": []})
    for dependency in deprecated:
        await dependency(connection, response)
    return [(name.decode(), value.decode()) for name, value in response.headers.raw if (name, value) not in before]


async def test_headers_follow_the_rfcs() -> None:
    """Deprecation is a structured-field date, Sunset an HTTP date, and the links carry registered relations."""
    deprecated = Deprecated(
        since=SINCE,
        sunset=datetime(2026, 7, 1, 12, 30, tzinfo=timezone(timedelta(hours=2))),
        link="https://example.com/v1-ends",
        sunset_link="/policy",
        successor="/v2/items",
    )
    assert await headers_of(deprecated) == [
        ("deprecation", "@1767225600"),
        ("sunset", "Wed, 01 Jul 2026 10:30:00 GMT"),
        (
            "link",
            '<https://example.com/v1-ends>; rel="deprecation", </policy>; rel="sunset", </v2/items>; rel="successor-version"',
        ),
    ]


async def test_only_what_is_given_is_told() -> None:
    """A deprecation without a sunset or links sends neither."""
    assert await headers_of(Deprecated(since=SINCE)) == [("deprecation", "@1767225600")]


async def test_the_innermost_deprecation_speaks() -> None:
    """A route that is deprecated apart from its version tells its own dates only: the fields take one value."""
    outer = Deprecated(since=SINCE, sunset=date(2027, 1, 1), link="/outer")
    inner = Deprecated(since=date(2025, 1, 1))
    assert await headers_of(outer, inner) == [("deprecation", "@1735689600")]


@given(st.integers(min_value=0, max_value=7_000_000_000), st.integers(min_value=0, max_value=999_999))
def test_any_moment_survives_both_formats(seconds: int, microseconds: int) -> None:
    """Both dates read back as the moment they were made from, to the second."""
    when = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    written = dict(Deprecated(since=when, sunset=when)._headers)
    second = when.replace(microsecond=0)
    assert datetime.fromtimestamp(int(written["Deprecation"][1:]), UTC) == second
    assert parsedate_to_datetime(written["Sunset"]) == second


def test_sunset_before_since_is_refused() -> None:
    """What ends before it is deprecated is a mistake; the same day is not."""
    with pytest.raises(ValueError, match="is before since"):
        Deprecated(since=SINCE, sunset=SINCE - timedelta(days=1))
    assert Deprecated(since=SINCE, sunset=SINCE).sunset == Deprecated(since=SINCE).since


def test_a_time_without_a_zone_is_refused() -> None:
    """A moment that depends on where the server stands is none."""
    with pytest.raises(ValueError, match="no time zone"):
        Deprecated(since=datetime(2026, 1, 1, 12, 0))  # noqa: DTZ001


@pytest.mark.parametrize("uri", ["", "a b", "/x>; rel=evil", 'https://e.com/"', "/line\r\nSet-Cookie: a=b", "/ümlaut"])
@pytest.mark.parametrize("which", ["link", "sunset_link", "successor"])
def test_a_link_that_would_break_the_header_is_refused(which: str, uri: str) -> None:
    """Links are URI references and nothing else."""
    links: dict[str, Any] = {which: uri}
    with pytest.raises(ValueError, match="is not a URI reference"):
        Deprecated(since=SINCE, **links)


def test_openapi_operation_is_marked() -> None:
    """The operation is deprecated, has its sunset as a date, and documents the headers of every response."""
    operation: dict[str, Any] = {"responses": {"200": {}, "404": {"headers": {"ETag": {}}}}}
    Deprecated(since=SINCE, sunset=date(2026, 7, 1)).document_operation(operation)
    assert operation["deprecated"] is True
    assert operation["x-sunset"] == "2026-07-01"
    assert set(operation["responses"]["200"]["headers"]) == {"Deprecation", "Sunset"}
    assert set(operation["responses"]["404"]["headers"]) == {"ETag", "Deprecation", "Sunset"}
    assert operation["responses"]["200"]["headers"]["Deprecation"]["example"] == "@1767225600"

    Deprecated(since=SINCE, link="/why").document_operation(operation)
    assert "x-sunset" not in operation
    assert set(operation["responses"]["200"]["headers"]) == {"Deprecation", "Link"}


@pytest.mark.parametrize("name", ["v1", "2026-05-01", "v1.2", "beta_3"])
def test_version_is_a_path_prefix(name: str) -> None:
    """A version's router has its prefix, and its name as tag unless others are given."""
    version = Version(name)
    assert version.router().prefix == version.prefix == f"/{name}"
    assert version.router().tags == [name]
    assert version.router(tags=["items"]).tags == ["items"]


@pytest.mark.parametrize("name", ["", "/v1", "v1/", "v 1", "v{x}", "-v1", "v1.", "..", "é"])
def test_version_that_is_not_one_segment_is_refused(name: str) -> None:
    """A name is one path segment without parameters."""
    with pytest.raises(ValueError, match="version"):
        Version(name)
