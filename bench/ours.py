"""The full request path of Fastness, as the template assembles it, on the service of the bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.middleware import Middleware
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from bench import service
from fastness import problems
from fastness.context import ContextMiddleware
from fastness.deadline import DeadlineMiddleware
from fastness.fused import fused
from fastness.lifespan import Resources
from fastness.overload import OverloadMiddleware
from fastness.problems import ProblemMiddleware
from fastness.ratelimit import RateLimitMiddleware
from fastness.security import CORS, SecurityMiddleware, SecurityPolicy
from fastness.slo import SLO, Availability, Latency
from fastness.telemetry import TelemetryMiddleware, logs, traces

SLOS = (
    SLO("reads", routes=("GET /v1/items/{item_id}",), latency=Latency(0.1, 0.99), availability=Availability(0.999)),
    SLO("writes", routes=("POST /v1/items",), latency=Latency(0.25, 0.99), availability=Availability(0.999)),
)
POLICY = SecurityPolicy(hosts=(service.HOST,), cors=CORS(origins=(service.ORIGIN,)), max_body_size=service.BODY_BYTES)


def layers() -> dict[str, Middleware]:
    """Outermost first, by name."""
    return {
        "context": Middleware(ContextMiddleware),
        "telemetry": Middleware(TelemetryMiddleware, slos=SLOS),
        "security": Middleware(SecurityMiddleware, policy=POLICY),
        "overload": Middleware(OverloadMiddleware, limit=service.IN_FLIGHT),
        "ratelimit": Middleware(RateLimitMiddleware, limit=f"10000/second, burst {service.BURST}"),
        "deadline": Middleware(DeadlineMiddleware, default=service.SECONDS),
        "problems": Middleware(ProblemMiddleware),
    }


def create(*, telemetry: Any = None) -> FastAPI:
    logs.configure(service="bench", version="1")
    return assemble(list(layers().values()), telemetry=telemetry)


def assemble(middleware: list[Middleware], *, telemetry: Any = None) -> FastAPI:
    telemetry = telemetry or traces.configure(service="bench")  # off without a collector, as in any service
    app = FastAPI(
        lifespan=Resources([], settle=True).lifespan,
        middleware=middleware,
        exception_handlers=problems.handlers(),
        telemetry=telemetry,
    )
    app.build_middleware_stack = fused(app)  # type: ignore[method-assign]
    return service.add_routes(app)


def only(name: str) -> FastAPI:
    """With one layer."""
    logs.configure(service="bench", version="1")
    return assemble([layers()[name]])


def without(name: str) -> FastAPI:
    """With all layers but one."""
    logs.configure(service="bench", version="1")
    return assemble([layer for other, layer in layers().items() if other != name])


def create_traced() -> FastAPI:
    """The same with OpenTelemetry at 1 %: FastAPI's own spans, batched to an exporter that drops them."""
    return create(telemetry=traces.configure(service="bench", sample_ratio=0.01, exporter=_Dropped()))


class _Dropped(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS
