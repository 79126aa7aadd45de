"""What the worker holds: `fastness worker` makes the deliveries, in a process of its own. Run as many as are needed."""

from datetime import timedelta

from fastness.jobs import Worker
from fastness.lifespan import Resource, Resources

from app.core.config import Settings
from app.core.logging import configure_logging
from app.domain.services.dispatch import Dispatcher
from app.domain.services.upkeep import Upkeep
from app.infra.db.database import make_database
from app.infra.db.uow import SqlUnitOfWork
from app.infra.http.sender import HTTPSender
from app.infra.relay import Relay

# feature: tracing
from app.infra.tracing import configure_tracing

# /feature: tracing


def resources() -> Resources:
    """The worker's resources, from the settings. `[tool.fastness]` names this function.

    Raises:
        ValueError: a setting cannot be used.
    """
    settings = Settings()
    configure_logging(settings, process="worker")
    # feature: tracing
    configure_tracing(settings)
    # /feature: tracing
    return make_resources(settings)


def make_resources(settings: Settings) -> Resources:
    """What the worker holds; it works from when they open until they close.

    Raises:
        ValueError: a setting cannot be used.
    """
    database = make_database(settings, application=f"{settings.service_name}-worker")
    relay = Relay(settings, database)
    # Closing waits for the deliveries that are under way, as long as one may take, and hands back the rest.
    return Resources([database, relay.jobs, *_workers(settings, relay)], close_timeout=settings.delivery_time_limit + 10)


def _workers(settings: Settings, relay: Relay) -> list[Resource]:
    """What makes deliveries, in the order in which it opens."""
    networks = settings.deliver_to_networks
    if networks is None:
        # Outside of production, receivers on this machine are wanted.
        networks = () if settings.is_production else ("127.0.0.0/8", "::1/128")
    sender = HTTPSender(time_limit=settings.delivery_time_limit, allowed=networks)
    dispatcher = Dispatcher(relay.new_unit, sender=sender, measures=relay.measures)
    keep = timedelta(days=settings.keep_events_days) if settings.keep_events_days else None
    upkeep = Upkeep(relay.new_unit, measures=relay.measures, keep=keep)
    worker = Worker(
        relay.jobs,
        provide={Dispatcher[SqlUnitOfWork]: dispatcher, Upkeep: upkeep},
        concurrency=settings.delivery_concurrency,
        grace=settings.delivery_time_limit + 2,
        crashes=10,  # a delivery kills no worker: those that die under it say nothing about it
    )
    return [sender, worker]
