"""How deliveries get to the workers: as jobs, in the transaction that promises them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fastness.database import UnitOfWork
from fastness.jobs import Jobs, JobState

from app.domain.deliveries import Delivery
from app.domain.ports import Promise
from app.infra.jobs.tasks import deliver

_PROMISES = {
    JobState.QUEUED: Promise.OPEN,
    JobState.RUNNING: Promise.OPEN,
    JobState.SUCCEEDED: Promise.GONE,
    JobState.FAILED: Promise.BROKEN,
    JobState.CANCELLED: Promise.WITHDRAWN,
}


class JobQueue:
    """`app.domain.ports.DeliveryQueue` on `fastness.jobs`. A ticket is the id of a job."""

    def __init__(self, unit: UnitOfWork, jobs: Jobs) -> None:
        self._unit = unit
        self._jobs = jobs

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """One job for each, in one round trip."""
        made = await self._jobs.enqueue_many(self._unit, deliver, [{"delivery_id": delivery.id} for delivery in deliveries])
        return [replace(delivery, ticket=job.id) for delivery, job in zip(deliveries, made, strict=True)]

    async def promises(self, tickets: Collection[int]) -> Mapping[int, Promise]:
        """By the states of their jobs; one that has been pruned is gone."""
        states = await self._jobs.states(self._unit, tickets)
        return {ticket: _PROMISES[states[ticket]] if ticket in states else Promise.GONE for ticket in tickets}
