"""Deliveries on the wire."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from app.domain.deliveries import Attempt, AttemptError, Delivery, DeliveryReport, DeliveryStatus, EndReason
from app.domain.paging import Page
from app.domain.ports import DeliveryFilter
from app.schemas.base import OutModel
from app.schemas.endpoints import EndpointId
from app.schemas.events import EventId
from app.schemas.ids import TaggedId
from app.schemas.paging import PageOut, PageQuery, cursor_to

DeliveryId = Annotated[UUID, TaggedId("dlv")]


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    status: DeliveryStatus | None = None
    endpoint_id: EndpointId | None = None
    event_id: EventId | None = None

    def filter(self) -> DeliveryFilter:
        """As the domain has it."""
        return DeliveryFilter(status=self.status, endpoint_id=self.endpoint_id, event_id=self.event_id)


class AttemptOut(OutModel):
    """One request that was made."""

    number: int
    started_at: datetime
    duration_seconds: float
    status_code: int | None
    error: Annotated[AttemptError | None, Field(description="Why it did not succeed.")]
    response_excerpt: Annotated[str, Field(description="The beginning of what the receiver answered.")]

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """As clients see it."""
        return cls(
            number=attempt.number,
            started_at=attempt.started_at,
            duration_seconds=attempt.duration,
            status_code=attempt.status_code,
            error=attempt.error,
            response_excerpt=attempt.excerpt,
        )


class DeliveryOut(OutModel):
    """An event on its way to an endpoint."""

    id: DeliveryId
    event_id: EventId
    endpoint_id: EndpointId
    status: DeliveryStatus
    attempts: Annotated[int, Field(description="Requests made so far.")]
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    reason: Annotated[EndReason | None, Field(description="Why it ended, unless it has succeeded.")]

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """As clients see it."""
        return cls(**_fields(delivery))


class DeliveryReportOut(DeliveryOut):
    """A delivery with every request that was made, oldest first."""

    history: list[AttemptOut]

    @classmethod
    def of_report(cls, report: DeliveryReport) -> Self:
        """As clients see it."""
        return cls(**_fields(report.delivery), history=[AttemptOut.of(attempt) for attempt in report.attempts])


class DeliveryPageOut(PageOut):
    """A part of the list of deliveries."""

    items: list[DeliveryOut]

    @classmethod
    def of(cls, page: Page[Delivery]) -> Self:
        """As clients see it."""
        return cls(items=[DeliveryOut.of(delivery) for delivery in page.items], next_cursor=cursor_to(page.next))


def _fields(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "endpoint_id": delivery.endpoint_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.due_at,
        "created_at": delivery.created_at,
        "finished_at": delivery.finished_at,
        "reason": delivery.reason,
    }
