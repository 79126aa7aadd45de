"""What webhook delivery needs at run time: sealing, counting, jobs, and what the worker makes them with."""

from datetime import timedelta

from fastness import idempotency
from fastness.database import Database, UnitOfWork
from fastness.jobs import Jobs, Worker
from fastness.lifespan import Resource

from app.core.config import Settings
from app.domain.endpoints import EndpointRules
from app.domain.services.dispatch import Dispatcher
from app.domain.services.upkeep import Upkeep
from app.infra.db.sealing import Sealer
from app.infra.db.uow import SqlUnitOfWork
from app.infra.http.sender import HTTPSender
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
        self._settings = settings
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

    def workers(self) -> list[Resource]:
        """What makes deliveries, in the order in which it opens."""
        settings = self._settings
        networks = settings.deliver_to_networks
        if networks is None:
            # Outside of production, receivers on this machine are wanted.
            networks = () if settings.is_production else ("127.0.0.0/8", "::1/128")
        sender = HTTPSender(time_limit=settings.delivery_time_limit, allowed=networks)
        dispatcher = Dispatcher(self._new_unit, sender=sender, measures=self.measures)
        keep = timedelta(days=settings.keep_events_days) if settings.keep_events_days else None
        upkeep = Upkeep(self._new_unit, measures=self.measures, keep=keep)
        worker = Worker(
            self.jobs,
            provide={Dispatcher[SqlUnitOfWork]: dispatcher, Upkeep: upkeep},
            concurrency=settings.delivery_concurrency,
            grace=settings.delivery_time_limit + 2,
            crashes=10,  # a delivery kills no worker: those that die under it say nothing about it
        )
        return [sender, worker]

    def _new_unit(self) -> SqlUnitOfWork:
        return self.unit_of_work(self._database.unit())
