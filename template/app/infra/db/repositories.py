"""Repositories: rows in, domain objects out. Every query of a tenant's things is bound to the tenant."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from fastness.database import UnitOfWork
from sqlalchemy import Select, Uuid, delete, exists, func, insert, literal, select, tuple_, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import InstrumentedAttribute, joinedload, selectinload
from sqlalchemy.sql.dml import Delete, Update

from app.domain.deliveries import Attempt, AttemptError, Delivery, DeliveryReport, DeliveryStatus, EndReason
from app.domain.endpoints import DisabledReason, Endpoint, Subscription
from app.domain.events import Event
from app.domain.ids import first_id
from app.domain.paging import Page
from app.domain.ports import DeliveryFilter, Dispatch
from app.infra.db.base import Timestamp
from app.infra.db.models import AttemptRow, DeliveryRow, EndpointRow, EventRow
from app.infra.db.sealing import Sealer

Row = TypeVar("Row", EndpointRow, EventRow, DeliveryRow)
T = TypeVar("T")


class SqlEndpoints:
    """`app.domain.ports.Endpoints`."""

    def __init__(self, unit: UnitOfWork, sealer: Sealer) -> None:
        self._unit = unit
        self._sealer = sealer

    async def add(self, endpoint: Endpoint) -> None:
        values = {"id": endpoint.id, "tenant": endpoint.tenant, **self._values(endpoint)}
        await self._unit.session.execute(insert(EndpointRow).values(**values))

    async def get(self, tenant: str, endpoint_id: UUID) -> Endpoint | None:
        query = select(EndpointRow).where(EndpointRow.tenant == tenant, EndpointRow.id == endpoint_id)
        row = await self._unit.session.scalar(query)
        return None if row is None else endpoint_of(row, self._sealer)

    async def list(self, tenant: str, *, limit: int, before: UUID | None) -> Page[Endpoint]:
        query = select(EndpointRow).where(EndpointRow.tenant == tenant)
        return await _page(
            self._unit, query, EndpointRow.id, lambda row: endpoint_of(row, self._sealer), limit=limit, before=before
        )

    async def subscriptions(self, tenant: str) -> Sequence[Subscription]:
        query = (
            select(EndpointRow.id, EndpointRow.event_types)
            .where(EndpointRow.tenant == tenant, EndpointRow.disabled_reason.is_(None))
            .with_for_update(read=True, key_share=True)  # an endpoint that is deleted now would leave deliveries without it
        )
        return [Subscription(endpoint_id, tuple(types)) for endpoint_id, types in await self._unit.session.execute(query)]

    async def count(self, tenant: str) -> int:
        query = select(func.count()).select_from(EndpointRow).where(EndpointRow.tenant == tenant)
        return await self._unit.session.scalar(query) or 0

    async def save(self, endpoint: Endpoint, *, replacing: int) -> bool:
        statement = (
            update(EndpointRow)
            .where(EndpointRow.tenant == endpoint.tenant, EndpointRow.id == endpoint.id, EndpointRow.version == replacing)
            .values(**self._values(endpoint))
        )
        return await _changes_a_row(self._unit, statement)

    async def delete(self, endpoint: Endpoint) -> bool:
        statement = delete(EndpointRow).where(
            EndpointRow.tenant == endpoint.tenant, EndpointRow.id == endpoint.id, EndpointRow.version == endpoint.version
        )
        return await _changes_a_row(self._unit, statement)

    def _values(self, endpoint: Endpoint) -> dict[str, Any]:
        seal = self._sealer.seal
        return {
            "url": endpoint.url,
            "description": endpoint.description,
            "event_types": list(endpoint.event_types),
            "disabled_reason": endpoint.disabled_reason,
            "failing_since": endpoint.failing_since,
            "sealed_secret": seal(endpoint.secret),
            "sealed_previous_secret": None if endpoint.previous_secret is None else seal(endpoint.previous_secret),
            "previous_secret_expires_at": endpoint.previous_secret_expires_at,
            "version": endpoint.version,
            "created_at": endpoint.created_at,
            "updated_at": endpoint.updated_at,
        }


class SqlEvents:
    """`app.domain.ports.Events`."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    async def add(self, event: Event) -> None:
        values = {
            "id": event.id,
            "tenant": event.tenant,
            "type": event.type,
            "payload": event.payload,
            "created_at": event.created_at,
        }
        await self._unit.session.execute(insert(EventRow).values(**values))

    async def get(self, tenant: str, event_id: UUID) -> Event | None:
        row = await self._unit.session.scalar(select(EventRow).where(EventRow.tenant == tenant, EventRow.id == event_id))
        return None if row is None else event_of(row)

    async def list(self, tenant: str, *, type: str | None, limit: int, before: UUID | None) -> Page[Event]:  # noqa: A002
        query = select(EventRow).where(EventRow.tenant == tenant)
        if type is not None:
            query = query.where(EventRow.type == type)
        return await _page(self._unit, query, EventRow.id, event_of, limit=limit, before=before)

    async def remove(self, *, before: datetime, limit: int) -> int:
        session = self._unit.session
        under_way = exists().where(DeliveryRow.event_id == EventRow.id, DeliveryRow.due_at.is_not(None))
        # Ids sort by time, so the primary key leads to the oldest and an index of times is not needed.
        oldest = (
            select(EventRow.id)
            .where(EventRow.id < first_id(before), EventRow.created_at < before, ~under_way)
            .order_by(EventRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = (await session.scalars(oldest)).all()
        # A retry may begin at this moment. What is locked here cannot change until it is deleted, and nothing is waited for,
        # because whoever deletes an endpoint may have locked the same deliveries in another order.
        of_found = DeliveryRow.event_id.in_(found)
        ended = select(DeliveryRow.event_id).where(of_found, DeliveryRow.due_at.is_(None)).with_for_update(skip_locked=True)
        held = Counter(await session.scalars(ended))
        there = await session.execute(select(DeliveryRow.event_id, func.count()).where(of_found).group_by(DeliveryRow.event_id))
        kept = {event_id for event_id, count in there if held[event_id] != count}
        removed = [event_id for event_id in found if event_id not in kept]
        await session.execute(delete(EventRow).where(EventRow.id.in_(removed)))
        return len(removed)


class SqlDeliveries:
    """`app.domain.ports.Deliveries`."""

    def __init__(self, unit: UnitOfWork, sealer: Sealer) -> None:
        self._unit = unit
        self._sealer = sealer

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            await self._unit.session.execute(insert(DeliveryRow), [_delivery_values(delivery) for delivery in deliveries])

    async def get(self, tenant: str, delivery_id: UUID, *, for_update: bool = False) -> Delivery | None:
        query = select(DeliveryRow).where(DeliveryRow.tenant == tenant, DeliveryRow.id == delivery_id)
        if for_update:
            query = query.with_for_update()
        row = await self._unit.session.scalar(query)
        return None if row is None else delivery_of(row)

    async def dispatch(self, delivery_id: UUID) -> Dispatch | None:
        query = (
            select(DeliveryRow)
            .where(DeliveryRow.id == delivery_id)
            .options(joinedload(DeliveryRow.endpoint, innerjoin=True), joinedload(DeliveryRow.event, innerjoin=True))
        )
        row = await self._unit.session.scalar(query)
        if row is None:
            return None
        return Dispatch(delivery=delivery_of(row), endpoint=endpoint_of(row.endpoint, self._sealer), event=event_of(row.event))

    async def report(self, tenant: str, delivery_id: UUID) -> DeliveryReport | None:
        query = (
            select(DeliveryRow)
            .where(DeliveryRow.tenant == tenant, DeliveryRow.id == delivery_id)
            .options(selectinload(DeliveryRow.history))
        )
        row = await self._unit.session.scalar(query)
        if row is None:
            return None
        return DeliveryReport(delivery_of(row), [attempt_of(attempt) for attempt in row.history])

    async def list(self, tenant: str, *, where: DeliveryFilter, limit: int, before: UUID | None) -> Page[Delivery]:
        query = select(DeliveryRow).where(DeliveryRow.tenant == tenant)
        if where.status is not None:
            query = query.where(DeliveryRow.status == where.status)
        if where.endpoint_id is not None:
            query = query.where(DeliveryRow.endpoint_id == where.endpoint_id)
        if where.event_id is not None:
            query = query.where(DeliveryRow.event_id == where.event_id)
        return await _page(self._unit, query, DeliveryRow.id, delivery_of, limit=limit, before=before)

    async def save(self, delivery: Delivery) -> None:
        statement = update(DeliveryRow).where(DeliveryRow.id == delivery.id).values(**_delivery_values(delivery))
        await self._unit.session.execute(statement)

    async def overdue(self, *, before: datetime, after: Delivery | None, limit: int) -> Sequence[Delivery]:
        place = tuple_(DeliveryRow.due_at, DeliveryRow.id)
        query = select(DeliveryRow).where(DeliveryRow.due_at < before)
        if after is not None:
            query = query.where(place > tuple_(literal(after.due_at, Timestamp()), literal(after.id, Uuid())))
        rows = await self._unit.session.scalars(query.order_by(DeliveryRow.due_at, DeliveryRow.id).limit(limit))
        return [delivery_of(row) for row in rows]

    async def add_attempt(self, delivery_id: UUID, attempt: Attempt) -> None:
        values = {
            "delivery_id": delivery_id,
            "number": attempt.number,
            "started_at": attempt.started_at,
            "duration": attempt.duration,
            "status_code": attempt.status_code,
            "error": attempt.error,
            "excerpt": attempt.excerpt,
        }
        await self._unit.session.execute(insert(AttemptRow).values(**values))


def endpoint_of(row: EndpointRow, sealer: Sealer) -> Endpoint:
    previous = row.sealed_previous_secret
    return Endpoint(
        id=row.id,
        tenant=row.tenant,
        url=row.url,
        description=row.description,
        event_types=tuple(row.event_types),
        disabled_reason=None if row.disabled_reason is None else DisabledReason(row.disabled_reason),
        failing_since=row.failing_since,
        secret=sealer.unseal(row.sealed_secret),
        previous_secret=None if previous is None else sealer.unseal(previous),
        previous_secret_expires_at=row.previous_secret_expires_at,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def event_of(row: EventRow) -> Event:
    return Event(id=row.id, tenant=row.tenant, type=row.type, payload=row.payload, created_at=row.created_at)


def delivery_of(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        tenant=row.tenant,
        event_id=row.event_id,
        endpoint_id=row.endpoint_id,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        due_at=row.due_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
        reason=None if row.reason is None else EndReason(row.reason),
        ticket=row.ticket,
    )


def attempt_of(row: AttemptRow) -> Attempt:
    return Attempt(
        number=row.number,
        started_at=row.started_at,
        duration=row.duration,
        status_code=row.status_code,
        error=None if row.error is None else AttemptError(row.error),
        excerpt=row.excerpt,
    )


def _delivery_values(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "tenant": delivery.tenant,
        "event_id": delivery.event_id,
        "endpoint_id": delivery.endpoint_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "created_at": delivery.created_at,
        "finished_at": delivery.finished_at,
        "reason": delivery.reason,
        "ticket": delivery.ticket,
    }


async def _page(
    unit: UnitOfWork,
    query: Select[Row],
    id_column: InstrumentedAttribute[UUID],
    convert: Callable[[Row], T],
    *,
    limit: int,
    before: UUID | None,
) -> Page[T]:
    if before is not None:
        query = query.where(id_column < before)
    # One more than asked for tells whether there is a next page.
    rows = (await unit.session.scalars(query.order_by(id_column.desc()).limit(limit + 1))).all()
    return Page([convert(row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None)


async def _changes_a_row(unit: UnitOfWork, statement: Update | Delete) -> bool:
    result = await unit.session.execute(statement)
    return isinstance(result, CursorResult) and result.rowcount > 0
