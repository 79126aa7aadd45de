"""The tasks that workers run. What a delivery is belongs to `app.domain.services`."""

import logging
from uuid import UUID

from fastness.database import Database
from fastness.idempotency import records
from fastness.jobs import Backoff, Injected, Job, Periodic, Retry, once, task

from app.core.config import LONGEST_DELIVERY
from app.domain.services.dispatch import Dispatcher
from app.domain.services.upkeep import Upkeep
from app.infra.db.uow import SqlUnitOfWork

logger = logging.getLogger(__name__)


# How often a receiver is asked is the delivery's own affair: it says when to come back. The policy is for what is no
# receiver's doing, such as a database that is away, and must not end before the delivery does.
@task(
    name="deliver",
    queue="deliveries",
    retry=Backoff(attempts=100, first=5, factor=2, longest=3600),
    timeout=LONGEST_DELIVERY + 30,
)
async def deliver(delivery_id: UUID, job: Job, dispatcher: Injected[Dispatcher[SqlUnitOfWork]]) -> None:
    """Make the attempt of a delivery that is due, and come back for the next."""

    async def confirm(uow: SqlUnitOfWork) -> None:
        await once(uow.unit, job, f"attempt {job.attempt}")  # raises when the job is another worker's by now

    due_in = await dispatcher.attempt(delivery_id, ticket=job.id, confirm=confirm)
    if due_in is not None:
        raise Retry("not delivered yet; the delivery has its attempts", after=due_in)


@task(name="prune-idempotency-records", queue="maintenance", timeout=600)
async def prune_idempotency_records(database: Injected[Database]) -> None:
    """Delete the answers that no retry can ask for any more."""
    await records.prune(database.unit())


@task(name="recover-deliveries", queue="maintenance", timeout=600)
async def recover_deliveries(upkeep: Injected[Upkeep]) -> None:
    """Have deliveries made, or ended, whose job is no more."""
    if count := await upkeep.recover():
        logger.warning("%d deliveries had no job any more; they are promised again, or have ended", count)


@task(name="remove-old-events", queue="maintenance", timeout=600)
async def remove_old_events(upkeep: Injected[Upkeep]) -> None:
    """Delete events that are older than they are to be kept."""
    if count := await upkeep.remove_old():
        logger.info("%d old events were removed", count)


TASKS = (deliver, prune_idempotency_records, recover_deliveries, remove_old_events)
PERIODIC = (
    Periodic(task=prune_idempotency_records, every=3600),
    Periodic(task=recover_deliveries, every=300),
    Periodic(task=remove_old_events, every=3600),
)
