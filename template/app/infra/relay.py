"""What webhook delivery needs at run time, in the server and in the worker: sealing, counting and jobs."""

from fastness import idempotency
from fastness.database import Database, UnitOfWork
from fastness.jobs import Jobs

from app.core.config import Settings
from app.domain.endpoints import EndpointRules
from app.infra.db.sealing import Sealer
from app.infra.db.uow import SqlUnitOfWork
from app.infra.jobs.queue import JobQueue
from app.infra.jobs.tasks import PERIODIC, TASKS
from app.infra.measures import BusinessMeasures


class Relay:
    """Webhook delivery, for the server and for the worker.

    Attributes:
        rules: what endpoints are allowed.
        measures: what the business counts.
        answer_sealer: for stored answers that hold signing secrets.
        jobs: where deliveries wait for a worker; a resource.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        keys = settings.encryption_keys.get_secret_value()
        self._sealer = Sealer(keys)
        self.answer_sealer = idempotency.Sealer(key.strip() for key in keys.split(","))
        self.rules = EndpointRules(
            allow_http=not settings.is_production if settings.deliver_over_http is None else settings.deliver_over_http,
            per_tenant=settings.endpoints_per_tenant,
        )
        self.measures = BusinessMeasures()
        direct = settings.database_direct_url
        self.jobs = Jobs(
            database, tasks=TASKS, periodic=PERIODIC, direct_url=None if direct is None else direct.get_secret_value()
        )

    def unit_of_work(self, unit: UnitOfWork) -> SqlUnitOfWork:
        """The domain's view of `unit`."""
        return SqlUnitOfWork(unit, self._sealer, queue=JobQueue(unit, self.jobs))

    def new_unit(self) -> SqlUnitOfWork:
        """A unit of work of its own, for what no request asks for."""
        return self.unit_of_work(self._database.unit())
