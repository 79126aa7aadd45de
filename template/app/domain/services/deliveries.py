"""What a tenant can do with its deliveries. Making them is `app.domain.services.dispatch`."""

from uuid import UUID

from app.domain.clock import Clock, system_clock
from app.domain.deliveries import Delivery, DeliveryReport
from app.domain.errors import NotFound
from app.domain.paging import Page
from app.domain.ports import DeliveryFilter, UnitOfWork
from app.domain.refusals import EndpointDisabled


class DeliveryService:
    """Deliveries, always of one tenant."""

    def __init__(self, uow: UnitOfWork, *, clock: Clock = system_clock) -> None:
        self._uow = uow
        self._now = clock

    async def report(self, tenant: str, delivery_id: UUID) -> DeliveryReport:
        """One delivery with its attempts.

        Raises:
            NotFound: the tenant has no such delivery.
        """
        async with self._uow.reading() as uow:
            report = await uow.deliveries.report(tenant, delivery_id)
        if report is None:
            raise NotFound("delivery")
        return report

    async def list(self, tenant: str, *, where: DeliveryFilter, limit: int, before: UUID | None) -> Page[Delivery]:
        """The tenant's deliveries, newest first."""
        async with self._uow.reading() as uow:
            return await uow.deliveries.list(tenant, where=where, limit=limit, before=before)

    async def retry(self, tenant: str, delivery_id: UUID) -> Delivery:
        """Make a delivery that has failed or was cancelled due again.

        Raises:
            NotFound: the tenant has no such delivery.
            DeliveryNotFinished: it is still under way, or has succeeded.
            EndpointDisabled: its endpoint takes no deliveries.
        """
        async with self._uow as uow:
            delivery = await uow.deliveries.get(tenant, delivery_id, for_update=True)
            if delivery is None:
                raise NotFound("delivery")
            endpoint = await uow.endpoints.get(tenant, delivery.endpoint_id)
            due = delivery.retry(at=self._now())
            if endpoint is None or not endpoint.enabled:
                raise EndpointDisabled
            [again] = await uow.queue.enqueue([due])
            await uow.deliveries.save(again)
        return again
