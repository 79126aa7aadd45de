"""Endpoints on the wire."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from app.domain.endpoints import (
    GIVEN_UP_AFTER,
    SUBSCRIPTION_PATTERN,
    URL_MAX_LENGTH,
    URL_PATTERN,
    DisabledReason,
    Endpoint,
)
from app.domain.events import EVENT_TYPE_MAX_LENGTH
from app.domain.paging import Page
from app.domain.services.endpoints import EndpointSettings
from app.schemas.base import WHOLE, InModel, OutModel
from app.schemas.ids import TaggedId
from app.schemas.paging import PageOut, cursor_to

EndpointId = Annotated[UUID, TaggedId("ep")]
# One line for people: no control characters, which could forge lines elsewhere and which PostgreSQL does not store.
_Line = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Subscription = Annotated[
    str,
    Field(
        max_length=EVENT_TYPE_MAX_LENGTH,
        pattern=SUBSCRIPTION_PATTERN,
        description="An event type, `order.*` for all types below `order`, or `*` for all types.",
        examples=["order.paid", "order.*", "*"],
    ),
]


class EndpointIn(InModel):
    """What to subscribe to, and where deliveries go."""

    url: Annotated[
        str, Field(max_length=URL_MAX_LENGTH, pattern=URL_PATTERN, examples=["https://example.com/hooks"], description="https.")
    ]
    event_types: Annotated[list[_Subscription], Field(min_length=1, max_length=50)]
    description: _Line = ""
    enabled: Annotated[bool, Field(description="True also enables one again that was disabled for its failures.")] = True

    def settings(self) -> EndpointSettings:
        """As the domain has it."""
        return EndpointSettings(
            url=self.url, description=self.description, event_types=tuple(self.event_types), enabled=self.enabled
        )


class RotateSecretIn(InModel):
    """How to change over to a new secret."""

    overlap_seconds: Annotated[
        int, Field(ge=0, le=604_800, description="How long the old secret goes on signing; 0 if it has leaked."), WHOLE
    ] = 86_400

    def overlap(self) -> timedelta:
        """As the domain has it."""
        return timedelta(seconds=self.overlap_seconds)


class EndpointOut(OutModel):
    """A subscription. Its secret is shown only when it is made."""

    id: EndpointId
    url: str
    event_types: list[str]
    description: str
    enabled: bool
    disabled_reason: Annotated[
        DisabledReason | None,
        Field(
            description="Why it takes no deliveries: its tenant asked for it (`requested`), it answered 410 (`gone`), or every "
            f"attempt has failed for {GIVEN_UP_AFTER.days} days (`failing`)."
        ),
    ]
    failing_since: Annotated[datetime | None, Field(description="When the failures began that no success has followed.")]
    previous_secret_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """As clients see it."""
        return cls(**_fields(endpoint))


class EndpointWithSecretOut(EndpointOut):
    """A subscription with its new signing secret, which is not shown again."""

    secret: Annotated[str, Field(description="Verify deliveries with it (Standard Webhooks, `whsec_`).")]

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """As the client that made the secret sees it."""
        return cls(**_fields(endpoint), secret=endpoint.secret)


class EndpointPageOut(PageOut):
    """A part of the list of endpoints."""

    items: list[EndpointOut]

    @classmethod
    def of(cls, page: Page[Endpoint]) -> Self:
        """As clients see it."""
        return cls(items=[EndpointOut.of(endpoint) for endpoint in page.items], next_cursor=cursor_to(page.next))


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": endpoint.failing_since,
        "previous_secret_expires_at": endpoint.previous_secret_expires_at,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }
