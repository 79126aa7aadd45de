"""API versions and their end: route groups by version, and deprecation told to clients, documentation and metrics.

It removes nothing: what is past its sunset is served until its routes are deleted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Response
from fastapi.params import Depends as Dependency
from starlette.requests import HTTPConnection

from fastness import _metrics
from fastness._asgi import OWED, HeaderLines, Scope

if TYPE_CHECKING:
    from prometheus_client import Counter

_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
# The characters of a URI reference (RFC 3986); in a Link header anything else would end it or begin another line.
_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_APPLIED = "fastness.deprecated"


class Deprecated:
    """Tells callers of a route, router or version that it will go away: `dependencies=[Depends(Deprecated(...))]`.

    Responses carry `Deprecation` (RFC 9745) and, as far as given, `Sunset` (RFC 8594) and `Link`. So does every error that is
    raised once dependencies run, when any layer of ours (`ContextMiddleware`, say) is in the app's list; without one only
    what FastAPI serialises has them, because errors and responses that an endpoint builds itself leave the dependency's
    headers behind. A body that is not JSON, a 404 and a 405 are answered before any dependency runs and have none.

    Of several on one route, the innermost speaks. Each call counts in `fastness_versioning_deprecated_requests_total`.

    Args:
        since: when the deprecation began or will begin; a date means its midnight in UTC.
        sunset: when it may stop to work; not before `since`.
        link: documentation of the deprecation, for people (`rel="deprecation"`).
        sunset_link: the policy behind the sunset date (`rel="sunset"`).
        successor: what to use instead (`rel="successor-version"`, RFC 5829).

    Raises:
        ValueError: `sunset` is before `since`, a time has no zone, or a link is not a URI reference.
    """

    def __init__(
        self,
        *,
        since: date,
        sunset: date | None = None,
        link: str | None = None,
        sunset_link: str | None = None,
        successor: str | None = None,
    ) -> None:
        self.since = _moment("since", since)
        self.sunset = None if sunset is None else _moment("sunset", sunset)
        if self.sunset is not None and self.sunset < self.since:
            raise ValueError(f"deprecated: sunset={sunset!r} is before since={since!r} (RFC 9745, section 4)")
        self._headers = {"Deprecation": f"@{int(self.since.timestamp())}"}
        if self.sunset is not None:
            self._headers["Sunset"] = format_datetime(self.sunset, usegmt=True)
        links = {"deprecation": link, "sunset": sunset_link, "successor-version": successor}
        for relation, uri in links.items():
            if uri is not None and not _URI.fullmatch(uri):
                raise ValueError(f"deprecated: the {relation} link {uri!r} is not a URI reference")
        if given := [f'<{uri}>; rel="{relation}"' for relation, uri in links.items() if uri is not None]:
            self._headers["Link"] = ", ".join(given)
        self._lines = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        self._calls = _metrics.counter(
            "fastness_versioning_deprecated_requests",
            "Calls of deprecated routes.",
            ["http_request_method", "http_route"],
        )
        self._counters: dict[tuple[str, str], Counter] = {}

    async def __call__(self, connection: HTTPConnection, response: Response) -> None:
        scope = connection.scope
        owed: HeaderLines | None = scope.get(OWED)
        lines = response.headers.raw if owed is None else owed
        outer: Deprecated | None = scope.get(_APPLIED)
        if outer is None:
            self._count(scope.get("method", "WEBSOCKET"), _template(scope))
        else:
            for line in outer._lines:
                lines.remove(line)
        scope[_APPLIED] = self
        lines.extend(self._lines)

    def _count(self, method: str, route: str) -> None:
        counter = self._counters.get((method, route))
        if counter is None:
            counter = self._counters[method, route] = self._calls.labels(method, route)
        counter.inc()

    def document_operation(self, operation: dict[str, Any]) -> None:
        """Mark an OpenAPI operation as deprecated, with `x-sunset` (a date) and the headers of its responses."""
        operation["deprecated"] = True
        operation.pop("x-sunset", None)
        if self.sunset is not None:
            operation["x-sunset"] = self.sunset.date().isoformat()
        for response in operation.get("responses", {}).values():
            documented = response.setdefault("headers", {})
            for name, description in _DESCRIPTIONS.items():
                documented.pop(name, None)
                if name in self._headers:
                    documented[name] = {
                        "description": description,
                        "schema": {"type": "string"},
                        "example": self._headers[name],
                    }


_DESCRIPTIONS = {
    "Deprecation": "When the operation became or becomes deprecated, in seconds since 1970 (RFC 9745).",
    "Sunset": "When the operation may stop to work (RFC 8594).",
    "Link": "What to read about it and what to use instead.",
}


class Version:
    """One version of an API: `v1 = Version("v1")`, then `router = v1.router()`.

    Args:
        name: as it stands in paths: `v1`, `2026-05-01`.
        deprecated: says that the whole version will go away.

    Raises:
        ValueError: `name` does not fit one path segment.
    """

    __slots__ = ("deprecated", "name")

    def __init__(self, name: str, deprecated: Deprecated | None = None) -> None:
        if not _VERSION.fullmatch(name):
            raise ValueError(f"version {name!r} is not letters and digits, with '.', '_' or '-' only in between")
        self.name = name
        self.deprecated = deprecated

    @property
    def prefix(self) -> str:
        """The path prefix of the version."""
        return f"/{self.name}"

    def router(
        self, *, tags: Sequence[str | Enum] | None = None, dependencies: Sequence[Dependency] = (), **options: Any
    ) -> APIRouter:
        """A router for the version's routes, with its prefix and its deprecation.

        Args:
            tags: OpenAPI tags; by default the version's name.
            dependencies: guards of every route.
            options: further options of `fastapi.APIRouter`.
        """
        marks = [] if self.deprecated is None else [Depends(self.deprecated)]
        return APIRouter(
            prefix=self.prefix,
            tags=[self.name] if tags is None else list(tags),
            # First, so that a refusal by a guard tells it as well.
            dependencies=[*marks, *dependencies],
            **options,
        )


def _moment(name: str, when: date) -> datetime:
    if not isinstance(when, datetime):
        return datetime.combine(when, time(), UTC)
    if when.tzinfo is None:
        raise ValueError(f"deprecated: {name}={when!r} has no time zone; give a date, or a time with tzinfo")
    return when.astimezone(UTC).replace(microsecond=0)


def _template(scope: Scope) -> str:
    # FastAPI leaves the place of a route that came with an included router here; `scope["route"]` lacks the prefix.
    place = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(place, "path_format", None) or "unknown"
