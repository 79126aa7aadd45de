"""How the processes of the service log."""

import logging

from fastness.telemetry import logs

from app.core.config import Settings


def configure_logging(settings: Settings, *, process: str | None = None) -> None:
    """Set up logging. `process` names one that is not the server."""
    logs.configure(
        format=settings.log_format or ("json" if settings.is_production else "console"),
        level=settings.log_level,
        service=settings.service_name if process is None else f"{settings.service_name}-{process}",
    )
    # It logs every request with its URL, which may hold what only the receiver should know.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
