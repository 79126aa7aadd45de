"""Nothing measures the service.

Without counts and times per route nobody knows how many requests fail, how slow the slowest percent is, or that the pool is
full, until users say so; no alert can fire, and no release can be judged against the last one.

Export the rate, the errors and the durations of requests, and the saturation of pools and queues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import apps, delivery
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service

_LIBRARIES = frozenset({
    "prometheus_client", "prometheus_fastapi_instrumentator", "starlette_prometheus", "starlette_exporter", "aioprometheus",
    "opentelemetry", "ddtrace", "datadog", "statsd", "aiodogstatsd", "newrelic", "elasticapm", "aws_xray_sdk", "logfire",
    "sentry_sdk", "azure", "scout_apm", "skywalking", "instana", "google.cloud.monitoring", "apitally", "dynatrace",
})  # fmt: skip
_OWN = {"TelemetryMiddleware", "metrics"}  # of `fastness.telemetry`, which also logs and traces
_AGENTS = re.compile(r"opentelemetry-instrument|ddtrace-run|newrelic-admin|apm-agent|instana|dynatrace|splunk-py-trace")
_FEWEST = 3  # routes; a smaller app is an example


@rule(severity=Severity.INFO, practice="8.2", help="export the rate, errors and durations of requests")
def check(service: Service) -> Iterator[Found]:
    app = apps.main(service)
    if app is None or len(service.routes) < _FEWEST:
        return
    words = {"fastness", *(name.partition(".")[0] for name in _LIBRARIES)}
    for module in service.project.readable:
        if not module.mentions(*words):
            continue
        if module.is_service and any(name == "fastness.telemetry" and member in _OWN for name, member, *_ in module.imported):
            return
        names = [name for name, *_ in module.imported]
        if any(name in _LIBRARIES or name.partition(".")[0] in _LIBRARIES for name in names):
            return
    if any(_AGENTS.search(line.text) for line in delivery.commands(service.project)):
        return
    yield found(app.scope, app.call, f"nothing measures the {len(service.routes)} path operations")


_ROUTES = """
        @app.get("/a")
        def a(): ...

        @app.get("/b")
        def b(): ...

        @app.get("/c")
        def c(): ...
"""

EXAMPLES = [
    Bad(f"""
        from fastapi import FastAPI

        app = FastAPI()  # found
{_ROUTES}
    """),
    Good(
        f"""
        from fastapi import FastAPI
        from prometheus_fastapi_instrumentator import Instrumentator

        app = FastAPI()
        Instrumentator().instrument(app).expose(app)
{_ROUTES}
    """,
        "a library measures",
    ),
    Good(
        f"""
        from fastapi import FastAPI

        app = FastAPI()
{_ROUTES}
        # file: Dockerfile
        FROM python:3.12
        CMD ["opentelemetry-instrument", "uvicorn", "app.main:app"]
    """,
        "an agent measures from outside",
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/a")
        def a(): ...
    """,
        "one route is an example",
    ),
]
