"""The application: every production control in the order in which a request meets it, then the routes."""

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastness import health, idempotency, openapi, problems
from fastness.context import ContextMiddleware
from fastness.deadline import DeadlineMiddleware
from fastness.fused import fused
from fastness.overload import MaintenanceMiddleware, MaintenanceSwitch, OverloadMiddleware
from fastness.ratelimit import RateLimitMiddleware
from fastness.security import SecurityMiddleware
from fastness.telemetry import TelemetryMiddleware, metrics
from starlette.middleware import Middleware

from app.api import v1
from app.api.problems import PROBLEMS
from app.core.config import Settings
from app.core.logging import configure_logging
from app.core.slo import SLOS
from app.infra import Infra

# feature: tracing
from app.infra.tracing import configure_tracing

# /feature: tracing


def create_app(settings: Settings) -> FastAPI:
    """The service. Nothing is opened before its lifespan begins."""
    infra = Infra(settings)
    telemetry: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
    # feature: tracing
    telemetry = configure_tracing(settings)
    # /feature: tracing
    app = FastAPI(
        title=settings.service_name.capitalize(),
        version="1",
        lifespan=infra.resources.lifespan,
        telemetry=telemetry,
        middleware=[  # outermost first
            Middleware(ContextMiddleware, trusted_proxies=settings.trusted_proxies),
            Middleware(TelemetryMiddleware, slos=SLOS),
            Middleware(SecurityMiddleware, policy=settings.security),
            Middleware(MaintenanceMiddleware, switch=MaintenanceSwitch(file=settings.maintenance_file)),
            Middleware(OverloadMiddleware, limit=settings.max_in_flight),
            Middleware(RateLimitMiddleware, limit=settings.client_rate_limit),
            Middleware(DeadlineMiddleware, default=settings.request_deadline),
            Middleware(problems.ProblemMiddleware),  # innermost: a 500 keeps its request id and its security headers
        ],
        exception_handlers=problems.handlers(PROBLEMS),
    )
    app.openapi = openapi.document(app)  # type: ignore[method-assign]
    app.include_router(health.router(infra.resources, optional=infra.optional))
    app.include_router(metrics.router())
    app.include_router(v1.router)
    idempotency.verify(app)
    app.build_middleware_stack = fused(app)  # type: ignore[method-assign]
    # Now, not with the first request: what a layer cannot use must stop the start.
    app.middleware_stack = app.build_middleware_stack()
    return app


def _configured() -> FastAPI:
    settings = Settings()
    try:
        configure_logging(settings)
        return create_app(settings)
    except ValueError as error:
        # A setting that only its user can judge. One line says more than the server's traceback around it.
        raise SystemExit(f"{settings.service_name} cannot start: {error}") from error


app = _configured()
