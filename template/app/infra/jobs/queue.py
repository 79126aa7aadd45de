"""How deliveries get to the workers: as jobs, in the transaction that promises them."""

from collections.abc import Sequence

from fastness.database import UnitOfWork
from fastness.jobs import Jobs

from app.domain.deliveries import Delivery
from app.infra.jobs.tasks import deliver


class JobQueue:
    """`app.domain.ports.DeliveryQueue` on `fastness.jobs`."""

    def __init__(self, unit: UnitOfWork, jobs: Jobs) -> None:
        self._unit = unit
        self._jobs = jobs

    async def enqueue(self, deliveries: Sequence[Delivery]) -> None:
        """One job for each, in one round trip."""
        await self._jobs.enqueue_many(self._unit, deliver, [{"delivery_id": delivery.id} for delivery in deliveries])
