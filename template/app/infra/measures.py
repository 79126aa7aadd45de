"""What the business counts, on `/metrics?section=business`. Technical metrics come from the middleware."""

from fastness.telemetry import business

from app.domain.deliveries import AttemptError, DeliveryStatus, Outcome
from app.domain.endpoints import DisabledReason


class BusinessMeasures:
    """`app.domain.ports.Measures` in Prometheus."""

    def __init__(self) -> None:
        outcomes = {"status": list(DeliveryStatus), "error": ["none", *AttemptError]}
        self._events = business.counter("events_accepted", "Events that applications have sent.")
        self._deliveries = business.counter("deliveries_created", "Deliveries that events have caused.")
        self._attempts = business.counter("delivery_attempts", "Attempts, by the status after it and by error.", outcomes)
        self._disabled = business.counter(
            "endpoints_disabled",
            "Endpoints that were disabled for their failures, by reason.",
            {"reason": list(DisabledReason)},
        )
        self._recovered = business.counter(
            "deliveries_recovered",
            "Deliveries whose job was no more, by the status they were given; pending is promised again.",
            {"status": list(DeliveryStatus)},
        )
        self._removed = business.counter("events_removed", "Events that were deleted for their age.")
        self._duration = business.histogram("delivery_attempt_seconds", "Time that receivers took to answer.")

    def event_accepted(self, *, deliveries: int) -> None:
        """An event was stored, with that many deliveries."""
        self._events.add()
        self._deliveries.add(deliveries)

    def delivery_attempted(self, status: DeliveryStatus, outcome: Outcome) -> None:
        """An attempt ended, which leaves its delivery in `status`."""
        self._attempts.add(status=status, error=outcome.error or "none")
        self._duration.observe(outcome.duration)

    def endpoint_disabled(self, reason: DisabledReason) -> None:
        """An attempt was the last straw."""
        self._disabled.add(reason=reason)

    def delivery_recovered(self, status: DeliveryStatus) -> None:
        """A delivery that nobody would have made is in `status` now."""
        self._recovered.add(status=status)

    def events_removed(self, count: int) -> None:
        """So many old events were deleted."""
        self._removed.add(count)
