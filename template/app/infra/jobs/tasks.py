"""The tasks that workers run. What a delivery is belongs to `app.domain.services`."""

from uuid import UUID

from fastness.database import Database
from fastness.idempotency import records
from fastness.jobs import Backoff, Injected, Job, Periodic, Retry, once, task

from app.core.config import LONGEST_DELIVERY
from app.domain.services.dispatch import Dispatcher
from app.infra.db.uow import SqlUnitOfWork


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

    due_in = await dispatcher.attempt(delivery_id, confirm=confirm)
    if due_in is not None:
        raise Retry("not delivered yet; the delivery has its attempts", after=due_in)


@task(name="prune-idempotency-records", queue="maintenance", timeout=600)
async def prune_idempotency_records(database: Injected[Database]) -> None:
    """Delete the answers that no retry can ask for any more."""
    await records.prune(database.unit())


TASKS = (deliver, prune_idempotency_records)
PERIODIC = (Periodic(task=prune_idempotency_records, every=3600),)
