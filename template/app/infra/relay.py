"""What webhook delivery needs at run time: sealing, sending, counting, and the loop that makes deliveries."""

from datetime import timedelta

from fastness.database import Database, UnitOfWork
from fastness.lifespan import Resource

from app.core.config import Settings
from app.domain.endpoints import EndpointRules
from app.domain.services.dispatch import Dispatcher, DispatchRules
from app.infra.db.sealing import Sealer
from app.infra.db.uow import SqlUnitOfWork
from app.infra.http.sender import HTTPSender
from app.infra.loop import Loop
from app.infra.measures import BusinessMeasures


class Relay:
    """Webhook delivery, for the server and for the worker.

    Attributes:
        rules: what endpoints are allowed.
        measures: what the business counts.
        delivery: the resources that make deliveries, in the order in which they open.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._sealer = Sealer(settings.encryption_keys.get_secret_value())
        self.rules = EndpointRules(
            allow_http=not settings.is_production if settings.deliver_over_http is None else settings.deliver_over_http,
            per_tenant=settings.endpoints_per_tenant,
        )
        self.measures = BusinessMeasures()
        networks = settings.deliver_to_networks
        if networks is None:
            # Outside of production, receivers on this machine are wanted.
            networks = () if settings.is_production else ("127.0.0.0/8", "::1/128")
        sender = HTTPSender(time_limit=settings.delivery_time_limit, allowed=networks)
        dispatcher = Dispatcher(
            lambda: self.unit_of_work(database.unit()),
            sender=sender,
            measures=self.measures,
            # A lease outlives a batch in which every receiver takes as long as it may.
            rules=DispatchRules(batch=settings.delivery_batch, lease=timedelta(seconds=2 * settings.delivery_time_limit + 30)),
        )
        self.delivery: list[Resource] = [sender, Loop("deliveries", dispatcher.run_once, idle=settings.delivery_poll)]

    def unit_of_work(self, unit: UnitOfWork) -> SqlUnitOfWork:
        """The domain's view of `unit`."""
        return SqlUnitOfWork(unit, self._sealer)
