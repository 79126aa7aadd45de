"""Dependencies that give an endpoint its service."""

from typing import Annotated

from fastapi import Depends
from fastness.database import CurrentUnit

from app.api.deps import CurrentInfra
from app.domain.ports import UnitOfWork
from app.domain.services.deliveries import DeliveryService
from app.domain.services.endpoints import EndpointService
from app.domain.services.events import EventService


async def _unit_of_work(infra: CurrentInfra, unit: CurrentUnit) -> UnitOfWork:
    return infra.relay.unit_of_work(unit)


CurrentUnitOfWork = Annotated[UnitOfWork, Depends(_unit_of_work)]


async def _endpoints(infra: CurrentInfra, uow: CurrentUnitOfWork) -> EndpointService:
    return EndpointService(uow, rules=infra.relay.rules)


async def _events(infra: CurrentInfra, uow: CurrentUnitOfWork) -> EventService:
    return EventService(uow, measures=infra.relay.measures)


async def _deliveries(uow: CurrentUnitOfWork) -> DeliveryService:
    return DeliveryService(uow)


Endpoints = Annotated[EndpointService, Depends(_endpoints)]
Events = Annotated[EventService, Depends(_events)]
Deliveries = Annotated[DeliveryService, Depends(_deliveries)]
