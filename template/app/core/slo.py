"""What users may expect of this service. Telemetry, load checks, alerts and rollouts read it: it is written only here."""

from fastness.slo import SLO, Availability, Latency

SLOS = (
    # feature: example
    SLO(
        "ingest",
        routes=("POST /v1/events",),
        latency=Latency(threshold=0.25, objective=0.99),
        availability=Availability(0.999),
    ),
    SLO(
        "management",
        routes=(
            "/v1/endpoints",
            "/v1/endpoints/{endpoint_id}",
            "/v1/endpoints/{endpoint_id}/rotate-secret",
            "/v1/deliveries",
            "/v1/deliveries/{delivery_id}",
            "/v1/deliveries/{delivery_id}/retry",
            "GET /v1/events",
            "GET /v1/events/{event_id}",
        ),
        latency=Latency(threshold=0.5, objective=0.95),
        availability=Availability(0.999),
    ),
    # /feature: example
    SLO(
        "identity",
        routes=("GET /v1/whoami",),
        latency=Latency(threshold=0.1, objective=0.99),
        availability=Availability(0.999),
    ),
)
