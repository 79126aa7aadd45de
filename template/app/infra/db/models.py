"""The tables. Rows never leave `app.infra.db`: repositories turn them into domain objects."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.deliveries import AttemptError, DeliveryStatus
from app.domain.endpoints import URL_MAX_LENGTH, DisabledReason
from app.domain.events import EVENT_TYPE_MAX_LENGTH
from app.infra.db.base import Base

_TENANT = String(255)
_UNDER_WAY = text("due_at IS NOT NULL")  # the few of all deliveries that have not ended


def _one_of(column: str, values: type[DeliveryStatus | AttemptError | DisabledReason]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class EndpointRow(Base):
    """`app.domain.endpoints.Endpoint`."""

    __tablename__ = "endpoints"
    __table_args__ = (
        CheckConstraint(_one_of("disabled_reason", DisabledReason), name="disabled_reason"),
        Index("ix_endpoints_tenant_id", "tenant", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(_TENANT)
    url: Mapped[str] = mapped_column(String(URL_MAX_LENGTH))
    description: Mapped[str] = mapped_column(String(500))
    event_types: Mapped[list[str]] = mapped_column(JSON)
    disabled_reason: Mapped[str | None] = mapped_column(String(16))
    failing_since: Mapped[datetime | None]
    sealed_secret: Mapped[str] = mapped_column(Text)
    sealed_previous_secret: Mapped[str | None] = mapped_column(Text)
    previous_secret_expires_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class EventRow(Base):
    """`app.domain.events.Event`."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_tenant_id", "tenant", "id"),
        Index("ix_events_tenant_type_id", "tenant", "type", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(_TENANT)
    type: Mapped[str] = mapped_column(String(EVENT_TYPE_MAX_LENGTH))
    # Text, not JSON: a database's JSON type may reorder members and round numbers, and these bytes are signed.
    payload: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class DeliveryRow(Base):
    """`app.domain.deliveries.Delivery`."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint(_one_of("status", DeliveryStatus), name="status"),
        Index("ix_deliveries_tenant_id", "tenant", "id"),
        Index("ix_deliveries_tenant_status_id", "tenant", "status", "id"),
        Index("ix_deliveries_endpoint_id", "endpoint_id", "id"),
        Index("ix_deliveries_event_id", "event_id", "id"),
        Index("ix_deliveries_due_at", "due_at", "id", postgresql_where=_UNDER_WAY, sqlite_where=_UNDER_WAY),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(_TENANT)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    ticket: Mapped[int | None] = mapped_column(BigInteger)

    event: Mapped[EventRow] = relationship(lazy="raise")
    endpoint: Mapped[EndpointRow] = relationship(lazy="raise")
    history: Mapped[list["AttemptRow"]] = relationship(lazy="raise", order_by="AttemptRow.number")


class AttemptRow(Base):
    """`app.domain.deliveries.Attempt`."""

    __tablename__ = "attempts"
    __table_args__ = (CheckConstraint(_one_of("error", AttemptError), name="error"),)

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    duration: Mapped[float]
    status_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(32))
    excerpt: Mapped[str] = mapped_column(String(1024))
