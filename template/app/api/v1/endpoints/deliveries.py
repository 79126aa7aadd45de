"""Deliveries: which events went where, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastness.auth import Requires

from app.api.deps import CurrentTenant
from app.api.documentation import answers
from app.api.services import Deliveries
from app.domain.errors import NotFound
from app.domain.refusals import DeliveryNotFinished, EndpointDisabled
from app.schemas.deliveries import DeliveryId, DeliveryOut, DeliveryPageOut, DeliveryQuery, DeliveryReportOut

router = APIRouter(prefix="/deliveries", tags=["deliveries"])
reads = [Requires("deliveries:read")]
writes = [Requires("deliveries:write")]


@router.get("", dependencies=reads)
async def list_deliveries(
    query: Annotated[DeliveryQuery, Query()], tenant: CurrentTenant, service: Deliveries
) -> DeliveryPageOut:
    """The deliveries, newest first."""
    page = await service.list(tenant, where=query.filter(), limit=query.limit, before=query.before)
    return DeliveryPageOut.of(page)


@router.get("/{delivery_id}", dependencies=reads, responses=answers(200, errors=(NotFound,)))
async def get_delivery(delivery_id: DeliveryId, tenant: CurrentTenant, service: Deliveries) -> DeliveryReportOut:
    """One delivery with every attempt that was made."""
    return DeliveryReportOut.of_report(await service.report(tenant, delivery_id))


@router.post(
    "/{delivery_id}/retry",
    status_code=202,
    dependencies=writes,
    responses=answers(202, errors=(NotFound, DeliveryNotFinished, EndpointDisabled)),
)
async def retry_delivery(delivery_id: DeliveryId, tenant: CurrentTenant, service: Deliveries) -> DeliveryOut:
    """Try a delivery that has failed or was cancelled again, now."""
    return DeliveryOut.of(await service.retry(tenant, delivery_id))
