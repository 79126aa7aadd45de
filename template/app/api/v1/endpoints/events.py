"""Events: what an application tells its subscribers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastness.auth import Requires
from fastness.idempotency import Idempotent, IdempotentRoute
from fastness.ratelimit import RateLimit

from app.api.deps import CurrentTenant
from app.api.documentation import answers
from app.api.services import Events
from app.domain.errors import NotFound
from app.domain.refusals import PayloadTooLarge
from app.schemas.events import EventId, EventIn, EventOut, EventPageOut, EventQuery

router = APIRouter(prefix="/events", tags=["events"], route_class=IdempotentRoute)
reads = [Requires("events:read")]
writes = [Requires("events:write")]


@router.post(
    "",
    status_code=201,
    dependencies=[
        *writes,
        Depends(RateLimit("6000/minute, burst 500", by="principal")),
        Depends(Idempotent(required=False)),  # with a key, a retry through any crash makes one event
    ],
    responses=answers(201, "Location", errors=(PayloadTooLarge,)),
)
async def create_event(body: EventIn, tenant: CurrentTenant, service: Events, response: Response) -> EventOut:
    """Accept an event. It is delivered to every endpoint that subscribes to its type at this moment."""
    event = await service.accept(tenant, type=body.type, payload=body.payload)
    response.headers["Location"] = f"/v1/events/{event.public_id}"
    return EventOut.of(event)


@router.get("", dependencies=reads)
async def list_events(query: Annotated[EventQuery, Query()], tenant: CurrentTenant, service: Events) -> EventPageOut:
    """The events without their payloads, newest first."""
    return EventPageOut.of(await service.list(tenant, type=query.type, limit=query.limit, before=query.before))


@router.get("/{event_id}", dependencies=reads, responses=answers(200, errors=(NotFound,)))
async def get_event(event_id: EventId, tenant: CurrentTenant, service: Events) -> EventOut:
    """One event."""
    return EventOut.of(await service.get(tenant, event_id))
