"""What the worker holds: `fastness worker` makes the deliveries, in a process of its own. Run as many as are needed."""

from fastness.lifespan import Resources

from app.core.config import Settings
from app.core.logging import configure_logging
from app.infra.db.database import make_database
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
    return Resources([database, relay.jobs, *relay.workers()], close_timeout=settings.delivery_time_limit + 10)
