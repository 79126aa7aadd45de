"""What can become of a request with a key: the problems that a client may get, and how requests are counted."""

from __future__ import annotations

from enum import StrEnum

from fastness import _metrics
from fastness.problems import ProblemType

MISSING = ProblemType(
    "urn:problem-type:fastness:idempotency-key-missing",
    "An idempotency key is required",
    400,
    "Send `Idempotency-Key`: a new random value for each new intent, the same one with each retry of it.",
)
INVALID = ProblemType(
    "urn:problem-type:fastness:idempotency-key-invalid",
    "The idempotency key is not valid",
    400,
    "It is one header of 1 to 255 printable ASCII characters.",
)
REUSED = ProblemType(
    "urn:problem-type:fastness:idempotency-key-reused",
    "The idempotency key was used for another request",
    422,
    "The key belongs to a request with another body, path or query; a new intent needs a new key.",
)
IN_FLIGHT = ProblemType(
    "urn:problem-type:fastness:idempotency-in-flight",
    "The first request with this key is still being handled",
    409,
    "Try again with the same key after `Retry-After` seconds; then you get its answer.",
    retry_after=1,
)
UNKNOWN = ProblemType(
    "urn:problem-type:fastness:idempotency-outcome-unknown",
    "Whether the first request with this key was carried out is not known",
    409,
    "Its handler ended in the middle, so it is not run again by itself. Look whether it had its effect; if it had none, send "
    "it with a new key.",
)
UNAVAILABLE = ProblemType(
    "urn:problem-type:fastness:idempotency-unavailable",
    "Idempotency keys cannot be checked at the moment",
    503,
    "Nothing was done; try again with the same key after `Retry-After` seconds.",
    retry_after=1,
)

UNREADABLE = ProblemType(
    "urn:problem-type:fastness:idempotency-answer-unreadable",
    "The answer to the first request with this key cannot be read at the moment",
    503,
    "It was carried out, and is not run again. Try again with the same key after `Retry-After` seconds; if that goes on, look "
    "at what the first request made.",
    retry_after=5,
)


class Outcome(StrEnum):
    """What became of a request with a key: the values of a metric's label.

    Attributes:
        EXECUTED: its effect and its answer are stored.
        UNDONE: it ended with an error, and nothing of it is stored, unless the connection was lost during its commit.
        REPLAYED: it was answered with what is stored.
        IN_FLIGHT: it came while the first one was being handled.
        MISMATCH: its key was used for another request.
        UNKNOWN: it ended in the middle, or it came after one that did. Store mode only.
        UNAVAILABLE: the store could not be asked, and it was refused. Store mode only.
        UNRECORDED: it was answered, but its answer could not be stored. Store mode only.
        UNREADABLE: its answer is stored and cannot be opened: the keys are not those that it was sealed with.
    """

    EXECUTED = "executed"
    UNDONE = "undone"
    REPLAYED = "replayed"
    IN_FLIGHT = "in_flight"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    UNRECORDED = "unrecorded"
    UNREADABLE = "unreadable"


class Outcomes:
    """Counts the outcomes of one route."""

    def __init__(self, route: str) -> None:
        counter = _metrics.counter(
            "fastness_idempotency_requests",
            "Requests with an idempotency key, by what became of them.",
            ("http_route", "outcome"),
        )
        self._counters = {outcome: counter.labels(route, outcome.value) for outcome in Outcome}

    def count(self, outcome: Outcome) -> None:
        """One more."""
        self._counters[outcome].inc()
