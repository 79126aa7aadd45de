"""Makes deliveries in a process of its own: `python -m app.worker`. Run as many as are needed."""

import asyncio
import signal

from fastness.lifespan import Resources, StartupError

from app.core.config import Settings
from app.core.logging import configure_logging
from app.infra.db.database import make_database
from app.infra.relay import Relay


def make_resources(settings: Settings) -> Resources:
    """What the worker holds; it works from when they open until they close.

    Raises:
        ValueError: a setting cannot be used.
    """
    database = make_database(settings, application=f"{settings.service_name}-worker")
    relay = Relay(settings, database)
    # Closing waits for the deliveries that are under way, as long as one may take.
    return Resources([database, *relay.delivery], close_timeout=settings.delivery_time_limit + 5)


async def run(resources: Resources) -> None:
    """Make deliveries until SIGTERM or Ctrl-C; those that are under way then are ended."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with resources.lifespan():
        await stop.wait()


def main() -> None:
    """The process, from its settings to its end."""
    settings = Settings()
    configure_logging(settings, process="worker")
    try:
        resources = make_resources(settings)
    except ValueError as error:
        raise SystemExit(f"{settings.service_name} worker cannot start: {error}") from error
    try:
        asyncio.run(run(resources))
    except StartupError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
