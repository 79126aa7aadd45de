"""What is counted of calls, by upstream. The label is the declared name, never a host that somebody gave."""

from __future__ import annotations

from fastness import _metrics

# Seconds. Calls end within their deadline, mostly far below.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Measures:
    """The metrics of one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._attempts = _metrics.counter(
            "fastness_outbound_attempts",
            "Requests to an upstream, by outcome: the class of the status, or why there was none.",
            ("upstream", "outcome"),
        )
        self._denied = _metrics.counter(
            "fastness_outbound_denied",
            "Calls (saturated, deadline) and retries (budget, retry_after, deadline) that were not made.",
            ("upstream", "kind", "reason"),
        )
        self._seconds = _metrics.histogram(
            "fastness_outbound_duration_seconds",
            "Time of a call as a whole, attempts and waits included.",
            ("upstream", "outcome"),
            buckets=_BUCKETS,
        )
        self.retries = _metrics.counter("fastness_outbound_retries", "Attempts after the first.", ("upstream",)).labels(
            upstream
        )
        self.in_flight = _metrics.gauge(
            "fastness_outbound_in_flight", "Requests to an upstream in flight.", ("upstream",)
        ).labels(upstream)

    def attempt(self, outcome: str) -> None:
        """Count one attempt."""
        self._attempts.labels(self._upstream, outcome).inc()

    def deny(self, kind: str, reason: str) -> None:
        """Count a call or a retry that was not made."""
        self._denied.labels(self._upstream, kind, reason).inc()

    def call(self, outcome: str, seconds: float) -> None:
        """Count one call."""
        self._seconds.labels(self._upstream, outcome).observe(seconds)
