"""The practices that make a service ready for production, by number, in sections. Which rules prove them is not here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the definition of done.

    Attributes:
        practices: each practice by its number, as `4.1`.
    """

    number: int
    title: str
    practices: Mapping[str, str]


DEFINITION_OF_DONE = (
    Section(
        0,
        "Workflow and preflight",
        {
            "0.1": "Requirements, SLOs and API contract are agreed before code",
            "0.2": "Python and FastAPI versions and their constraints are checked first",
            "0.3": "Persistence stack, isolation level and transaction needs are known",
            "0.4": "Each endpoint is known to be latency- or throughput-sensitive",
            "0.5": "Authentication and authorisation model and compliance duties are explicit",
            "0.6": "Platform, autoscaling and release cadence are known",
        },
    ),
    Section(
        1,
        "Architecture",
        {
            "1.1": "Routers are thin; business logic lives in services",
            "1.2": "Domain logic knows no framework or transport",
            "1.3": "API versions are grouped explicitly and stay compatible",
            "1.4": "Adapters for database, cache, queue and clients are isolated",
            "1.5": "No circular dependencies; layers are clear",
        },
    ),
    Section(
        2,
        "Lifespan and dependencies",
        {
            "2.1": "Shared resources open in the lifespan",
            "2.2": "They close deterministically, in reverse, on failure too",
            "2.3": "Request-scoped clean-up uses yield dependencies",
            "2.4": "Dependencies are small and composable",
            "2.5": "No hidden I/O in the dependency graph or at import",
            "2.6": "lifespan, not startup/shutdown events; never both",
        },
    ),
    Section(
        3,
        "Contracts",
        {
            "3.1": "Input and output schemas are separate",
            "3.2": "Every JSON endpoint has a response model; no field leaks",
            "3.3": "Strict validation and explicit constraints",
            "3.4": "ORM models never cross the boundary",
            "3.5": "Schema versions and deprecations are intentional and documented",
        },
    ),
    Section(
        4,
        "Async, sync and background",
        {
            "4.1": "async def only over a non-blocking stack",
            "4.2": "Blocking libraries stay in sync endpoints or threads",
            "4.3": "Long work goes to queue workers",
            "4.4": "BackgroundTasks are short and best effort",
            "4.5": "Outbound I/O has timeouts and honours cancellation",
        },
    ),
    Section(
        5,
        "Errors and reliability",
        {
            "5.1": "One error envelope everywhere",
            "5.2": "Domain exceptions map to predictable statuses",
            "5.3": "No stack traces or exception text to clients",
            "5.4": "Retried writes are idempotent",
            "5.5": "Retries are bounded and observable",
        },
    ),
    Section(
        6,
        "Security",
        {
            "6.1": "Authentication and authorisation at explicit boundaries",
            "6.2": "External input is validated beyond the schema",
            "6.3": "CORS is minimal; never wildcard with credentials",
            "6.4": "Trusted hosts and security headers",
            "6.5": "Rate limits and abuse control on risky endpoints",
            "6.6": "Secrets come from a store, never from code or logs",
        },
    ),
    Section(
        7,
        "Persistence",
        {
            "7.1": "Transaction boundaries in services",
            "7.2": "One session per request, unless a unit of work says otherwise",
            "7.3": "No lazy loading while serialising",
            "7.4": "Migrations and schema lifecycle are in CI",
            "7.5": "Pool sizes fit workers and database limits",
        },
    ),
    Section(
        8,
        "Observability",
        {
            "8.1": "Structured logs with request correlation",
            "8.2": "Latency, errors, saturation, queue depth",
            "8.3": "Traces across inbound and outbound",
            "8.4": "Business metrics apart from infrastructure metrics",
            "8.5": "Dashboards and alerts follow the SLOs",
        },
    ),
    Section(
        9,
        "Testing",
        {
            "9.1": "Unit tests for the domain without HTTP",
            "9.2": "Integration tests for contracts and wiring",
            "9.3": "OpenAPI snapshot or diff",
            "9.4": "A regression test for every fix",
            "9.5": "Deterministic, isolated fixtures",
        },
    ),
    Section(
        10,
        "Deployment",
        {
            "10.1": "Many workers only after shared state is checked",
            "10.2": "Health and readiness are explicit",
            "10.3": "Graceful shutdown fits in-flight requests",
            "10.4": "Deploy and migrate are separate",
            "10.5": "Staged rollout, automatic rollback criteria",
        },
    ),
    Section(
        11,
        "CI/CD and governance",
        {
            "11.1": "Merges are gated on tests, types, lint, contract",
            "11.2": "Configuration is explicit and non-secret by default",
            "11.3": "Secrets are injected by the platform",
            "11.4": "Artefacts trace to source and inputs",
            "11.5": "Owners review API and schema changes",
        },
    ),
)
