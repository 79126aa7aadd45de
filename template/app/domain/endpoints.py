"""Endpoints: who wants which events, where they go, and with which secrets they are signed."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from app.domain.deliveries import GONE, Outcome
from app.domain.ids import tagged
from app.domain.refusals import UnacceptableURL

# An event type, or one with `*` in the place of everything after its first parts: `order.*`, or `*` for all events.
SUBSCRIPTION_PATTERN = r"^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$"

URL_MAX_LENGTH = 2048
# Every string that matches is a URL that can be delivered to: no user, no fragment, a port that exists.
URL_PATTERN = (
    r"^https?://[A-Za-z0-9]([A-Za-z0-9.\-]{0,250}[A-Za-z0-9])?"
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}))?"
    r"(/[A-Za-z0-9._~!$&'()*+,;=:@%/\-]*)?(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?\-]*)?$"
)


# An endpoint that has taken nothing for so long is disabled. It is longer than a delivery's schedule: whoever is away for a
# weekend finds everything there.
GIVEN_UP_AFTER = timedelta(days=5)


class DisabledReason(StrEnum):
    """Why an endpoint takes no deliveries."""

    REQUESTED = "requested"  # by its tenant
    GONE = "gone"  # it answered 410
    FAILING = "failing"  # every attempt has failed for `GIVEN_UP_AFTER`


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which events an enabled endpoint gets; see `SUBSCRIPTION_PATTERN`."""

    endpoint_id: UUID
    event_types: tuple[str, ...]

    def covers(self, event_type: str) -> bool:
        """Whether the endpoint gets events of that type."""
        return any(matches(pattern, event_type) for pattern in self.event_types)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant wants its events, and which of them.

    Attributes:
        event_types: which events it gets; see `SUBSCRIPTION_PATTERN`.
        secret: signs deliveries; shown to the tenant once, when it is made.
        previous_secret: signs them too until `previous_secret_expires_at`, so that a receiver can change over.
        disabled_reason: None while it is enabled.
        failing_since: when the first of the attempts failed that have all failed since; None after a success.
        version: grows with every change; what ETags are made of.
    """

    id: UUID
    tenant: str
    url: str
    description: str
    event_types: tuple[str, ...]
    secret: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    previous_secret: str | None = field(default=None, repr=False)
    previous_secret_expires_at: datetime | None = None
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = None
    version: int = 1

    @property
    def enabled(self) -> bool:
        """It takes deliveries."""
        return self.disabled_reason is None

    @property
    def public_id(self) -> str:
        """The id as clients know it."""
        return tagged("ep", self.id)

    def rotate(self, secret: str, *, at: datetime, overlap: timedelta) -> Self:
        """With `secret` as its secret; the one it replaces goes on signing for `overlap`. An older one ends now."""
        previous = (self.secret, at + overlap) if overlap else (None, None)
        return replace(
            self,
            secret=secret,
            previous_secret=previous[0],
            previous_secret_expires_at=previous[1],
            updated_at=at,
            version=self.version + 1,
        )

    def change(self, *, url: str, description: str, event_types: tuple[str, ...], enabled: bool, at: datetime) -> Self:
        """With other settings. Whatever it failed at before is forgotten: it gets a new chance."""
        return replace(
            self,
            url=url,
            description=description,
            event_types=event_types,
            disabled_reason=None if enabled else self.disabled_reason or DisabledReason.REQUESTED,
            failing_since=None,
            updated_at=at,
            version=self.version + 1,
        )

    def after(self, outcome: Outcome, *, at: datetime) -> Self:
        """This endpoint after one attempt at a delivery: disabled when that is the last straw."""
        if outcome.error is None:
            failing_since, reason = None, self.disabled_reason
        else:
            failing_since, reason = self.failing_since or at, self.disabled_reason
            if outcome.status_code == GONE:
                reason = reason or DisabledReason.GONE
            elif at - failing_since >= GIVEN_UP_AFTER:
                reason = reason or DisabledReason.FAILING
        if (failing_since, reason) == (self.failing_since, self.disabled_reason):
            return self
        return replace(self, failing_since=failing_since, disabled_reason=reason, updated_at=at, version=self.version + 1)

    def valid_secrets(self, at: datetime) -> tuple[str, ...]:
        """Every secret that signs at that time, the newest first."""
        if self.previous_secret and self.previous_secret_expires_at and at < self.previous_secret_expires_at:
            return (self.secret, self.previous_secret)
        return (self.secret,)


def matches(pattern: str, event_type: str) -> bool:
    """Whether `pattern` covers an event type. `order.*` covers `order.paid` and `order.line.added`, not `order`."""
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """What this installation allows.

    Attributes:
        allow_http: deliver without TLS; for development.
        per_tenant: how many endpoints a tenant may have.
    """

    allow_http: bool = False
    per_tenant: int = 100

    def check_url(self, url: str) -> None:
        """Refuse a URL that deliveries may not go to. Which addresses a name leads to is checked when connecting.

        Raises:
            UnacceptableURL: it is not an absolute http(s) URL, or not https where that is asked for, or has credentials
                or a fragment.
        """
        parts = _split(url)
        if parts.scheme != "https" and not (self.allow_http and parts.scheme == "http"):
            raise UnacceptableURL("The URL must start with https://.")
        if "@" in parts.netloc:
            raise UnacceptableURL("The URL must not carry credentials; verify the signature instead.")
        if parts.fragment:
            raise UnacceptableURL("The URL must not have a fragment.")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:  # reading `port` checks its range
            return parts
    except ValueError:
        pass
    raise UnacceptableURL("The URL is not absolute, or its host or port is not valid.")
