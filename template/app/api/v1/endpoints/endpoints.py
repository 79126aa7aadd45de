"""Endpoints: where a tenant wants its events, and which of them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastness.auth import Requires
from fastness.idempotency import Idempotent, IdempotentRoute
from fastness.ratelimit import RateLimit

from app.api.deps import CurrentTenant
from app.api.documentation import answers
from app.api.etags import IfMatch, etag
from app.api.services import Endpoints
from app.domain.errors import NotFound
from app.domain.refusals import EndpointLimitReached, UnacceptableURL
from app.schemas.endpoints import (
    EndpointId,
    EndpointIn,
    EndpointOut,
    EndpointPageOut,
    EndpointWithSecretOut,
    RotateSecretIn,
)
from app.schemas.paging import PageQuery

router = APIRouter(prefix="/endpoints", tags=["endpoints"], route_class=IdempotentRoute)
reads = [Requires("endpoints:read")]
writes = [Requires("endpoints:write")]


@router.post(
    "",
    status_code=201,
    # With a key, a retry through any crash makes one endpoint. The answer is stored sealed: it has a secret in it.
    dependencies=[*writes, Depends(Idempotent(required=False, seal=True))],
    responses=answers(201, "ETag", "Location", errors=(EndpointLimitReached, UnacceptableURL)),
)
async def create_endpoint(
    body: EndpointIn, tenant: CurrentTenant, service: Endpoints, response: Response
) -> EndpointWithSecretOut:
    """Subscribe to events. The answer has the signing secret, which is not shown again, but in answer to a retry."""
    endpoint = await service.create(tenant, body.settings())
    response.headers["ETag"] = etag(endpoint.version)
    response.headers["Location"] = f"/v1/endpoints/{endpoint.public_id}"
    return EndpointWithSecretOut.of(endpoint)


@router.get("", dependencies=reads)
async def list_endpoints(page: Annotated[PageQuery, Query()], tenant: CurrentTenant, service: Endpoints) -> EndpointPageOut:
    """The endpoints, newest first."""
    return EndpointPageOut.of(await service.list(tenant, limit=page.limit, before=page.before))


@router.get("/{endpoint_id}", dependencies=reads, responses=answers(200, "ETag", errors=(NotFound,)))
async def get_endpoint(endpoint_id: EndpointId, tenant: CurrentTenant, service: Endpoints, response: Response) -> EndpointOut:
    """One endpoint."""
    endpoint = await service.get(tenant, endpoint_id)
    response.headers["ETag"] = etag(endpoint.version)
    return EndpointOut.of(endpoint)


@router.put("/{endpoint_id}", dependencies=writes, responses=answers(200, "ETag", errors=(NotFound, UnacceptableURL)))
async def update_endpoint(
    endpoint_id: EndpointId,
    body: EndpointIn,
    if_match: IfMatch,
    tenant: CurrentTenant,
    service: Endpoints,
    response: Response,
) -> EndpointOut:
    """Replace the settings of an endpoint that is still as it was read."""
    endpoint = await service.update(tenant, endpoint_id, body.settings(), expected=if_match)
    response.headers["ETag"] = etag(endpoint.version)
    return EndpointOut.of(endpoint)


@router.post(
    "/{endpoint_id}/rotate-secret",
    dependencies=[
        *writes,
        Depends(RateLimit("10/minute", by="principal")),
        Depends(Idempotent(required=False, seal=True)),
    ],
    responses=answers(200, "ETag", errors=(NotFound,)),
)
async def rotate_secret(
    endpoint_id: EndpointId, body: RotateSecretIn, tenant: CurrentTenant, service: Endpoints, response: Response
) -> EndpointWithSecretOut:
    """Give an endpoint a new secret, shown only now. Deliveries are signed with both until the overlap ends."""
    endpoint = await service.rotate_secret(tenant, endpoint_id, overlap=body.overlap())
    response.headers["ETag"] = etag(endpoint.version)
    return EndpointWithSecretOut.of(endpoint)


@router.delete("/{endpoint_id}", status_code=204, dependencies=writes, responses=answers(204, errors=(NotFound,)))
async def delete_endpoint(endpoint_id: EndpointId, if_match: IfMatch, tenant: CurrentTenant, service: Endpoints) -> None:
    """Remove an endpoint that is still as it was read, and its deliveries with it."""
    await service.delete(tenant, endpoint_id, expected=if_match)
