"""Traces: to an OpenTelemetry collector, where one is set."""

from fastapi.telemetry import TelemetryConfig
from fastness.telemetry import traces

from app.core.config import Settings


def configure_tracing(settings: Settings) -> TelemetryConfig:
    """The value for `FastAPI(telemetry=...)`."""
    return traces.configure(
        service=settings.service_name, endpoint=settings.otlp_endpoint, sample_ratio=settings.trace_sample_ratio
    )
