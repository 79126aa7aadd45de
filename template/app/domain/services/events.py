"""What a tenant can do with its events."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.domain.clock import Clock, system_clock
from app.domain.deliveries import Delivery
from app.domain.errors import NotFound
from app.domain.events import Event
from app.domain.ids import new_id
from app.domain.paging import Page
from app.domain.ports import Measures, UnitOfWork


class EventService:
    """Events, always of one tenant."""

    def __init__(self, uow: UnitOfWork, *, measures: Measures, clock: Clock = system_clock) -> None:
        self._uow = uow
        self._measures = measures
        self._now = clock

    async def accept(self, tenant: str, *, type: str, payload: Mapping[str, Any]) -> Event:  # noqa: A002
        """Store an event and, in the same transaction, promise its delivery to every endpoint that subscribes to it.

        Raises:
            PayloadTooLarge: the payload is larger than a webhook should be.
        """
        now = self._now()
        event = Event.create(id=new_id(), tenant=tenant, type=type, payload=payload, at=now)
        async with self._uow as uow:
            deliveries = [
                Delivery.create(id=new_id(), tenant=tenant, event_id=event.id, endpoint_id=subscription.endpoint_id, at=now)
                for subscription in await uow.endpoints.subscriptions(tenant)
                if subscription.covers(type)
            ]
            await uow.events.add(event)
            await uow.deliveries.add(await uow.queue.enqueue(deliveries))
        self._measures.event_accepted(deliveries=len(deliveries))
        return event

    async def get(self, tenant: str, event_id: UUID) -> Event:
        """One event.

        Raises:
            NotFound: the tenant has no such event.
        """
        async with self._uow.reading() as uow:
            event = await uow.events.get(tenant, event_id)
        if event is None:
            raise NotFound("event")
        return event

    async def list(self, tenant: str, *, type: str | None, limit: int, before: UUID | None) -> Page[Event]:  # noqa: A002
        """The tenant's events, newest first."""
        async with self._uow.reading() as uow:
            return await uow.events.list(tenant, type=type, limit=limit, before=before)
