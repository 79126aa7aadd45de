"""Logs, metrics and traces of a service, under one request id and one trace id."""

from fastness.telemetry.middleware import TelemetryMiddleware

__all__ = ["TelemetryMiddleware"]
