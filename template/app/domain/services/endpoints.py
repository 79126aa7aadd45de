"""What a tenant can do with its endpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from fastness import audit

from app.domain import signing
from app.domain.clock import Clock, system_clock
from app.domain.endpoints import DisabledReason, Endpoint, EndpointRules
from app.domain.errors import NotFound, VersionMismatch
from app.domain.ids import new_id
from app.domain.paging import Page
from app.domain.ports import UnitOfWork
from app.domain.refusals import EndpointLimitReached

# Whether a stored version is the one that the caller has seen.
Precondition = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What a tenant chooses about an endpoint."""

    url: str
    description: str
    event_types: tuple[str, ...]
    enabled: bool


class EndpointService:
    """Endpoints, always of one tenant."""

    def __init__(self, uow: UnitOfWork, *, rules: EndpointRules, clock: Clock = system_clock) -> None:
        self._uow = uow
        self._rules = rules
        self._now = clock

    async def create(self, tenant: str, settings: EndpointSettings) -> Endpoint:
        """Subscribe.

        Raises:
            UnacceptableURL: deliveries cannot go to the URL.
            EndpointLimitReached: the tenant has enough. Creations at the same moment may pass the limit by a few.
        """
        self._rules.check_url(settings.url)
        now = self._now()
        endpoint = Endpoint(
            id=new_id(),
            tenant=tenant,
            url=settings.url,
            description=settings.description,
            event_types=settings.event_types,
            disabled_reason=None if settings.enabled else DisabledReason.REQUESTED,
            secret=signing.new_secret(),
            created_at=now,
            updated_at=now,
        )
        async with self._uow as uow:
            if await uow.endpoints.count(tenant) >= self._rules.per_tenant:
                raise EndpointLimitReached(self._rules.per_tenant)
            await uow.endpoints.add(endpoint)
        return endpoint

    async def get(self, tenant: str, endpoint_id: UUID) -> Endpoint:
        """One endpoint.

        Raises:
            NotFound: the tenant has no such endpoint.
        """
        async with self._uow.reading() as uow:
            return await _get(uow, tenant, endpoint_id)

    async def list(self, tenant: str, *, limit: int, before: UUID | None) -> Page[Endpoint]:
        """The tenant's endpoints, newest first."""
        async with self._uow.reading() as uow:
            return await uow.endpoints.list(tenant, limit=limit, before=before)

    async def update(self, tenant: str, endpoint_id: UUID, settings: EndpointSettings, *, expected: Precondition) -> Endpoint:
        """Replace the settings of an endpoint that is still as the caller has seen it.

        Raises:
            NotFound: the tenant has no such endpoint.
            VersionMismatch: it has changed since.
            UnacceptableURL: deliveries cannot go to the URL.
        """
        self._rules.check_url(settings.url)
        async with self._uow as uow:
            endpoint = await _get_expected(uow, tenant, endpoint_id, expected)
            changed = endpoint.change(
                url=settings.url,
                description=settings.description,
                event_types=settings.event_types,
                enabled=settings.enabled,
                at=self._now(),
            )
            await _save(uow, changed, replacing=endpoint)
        return changed

    async def rotate_secret(self, tenant: str, endpoint_id: UUID, *, overlap: timedelta) -> Endpoint:
        """Give an endpoint a new secret; the old one goes on signing for `overlap`.

        Raises:
            NotFound: the tenant has no such endpoint.
            VersionMismatch: it changed at this very moment.
        """
        async with self._uow as uow:
            endpoint = await _get(uow, tenant, endpoint_id)
            rotated = endpoint.rotate(signing.new_secret(), at=self._now(), overlap=overlap)
            await _save(uow, rotated, replacing=endpoint)
        audit.record("secret.rotate", outcome="changed", endpoint=rotated.public_id)
        return rotated

    async def delete(self, tenant: str, endpoint_id: UUID, *, expected: Precondition) -> None:
        """Remove an endpoint, its deliveries and their attempts.

        Raises:
            NotFound: the tenant has no such endpoint.
            VersionMismatch: it has changed since the caller saw it.
        """
        async with self._uow as uow:
            endpoint = await _get_expected(uow, tenant, endpoint_id, expected)
            if not await uow.endpoints.delete(endpoint):
                raise VersionMismatch("endpoint", current=endpoint.version + 1)


async def _get(uow: UnitOfWork, tenant: str, endpoint_id: UUID) -> Endpoint:
    endpoint = await uow.endpoints.get(tenant, endpoint_id)
    if endpoint is None:
        raise NotFound("endpoint")
    return endpoint


async def _get_expected(uow: UnitOfWork, tenant: str, endpoint_id: UUID, expected: Precondition) -> Endpoint:
    endpoint = await _get(uow, tenant, endpoint_id)
    if not expected(endpoint.version):
        raise VersionMismatch("endpoint", current=endpoint.version)
    return endpoint


async def _save(uow: UnitOfWork, endpoint: Endpoint, *, replacing: Endpoint) -> None:
    # The row may have changed since it was read: only the statement that writes can tell for certain.
    if not await uow.endpoints.save(endpoint, replacing=replacing.version):
        raise VersionMismatch("endpoint", current=endpoint.version)
