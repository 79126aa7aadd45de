"""What can become of a call, as exceptions, and the problems that they are when a request leaves them unhandled."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastness.problems import ProblemType

UPSTREAM_UNREACHABLE = ProblemType(
    "urn:problem-type:fastness:upstream-unreachable",
    "A service that this one needs gave no usable answer",
    502,
    "Whether the request had an effect there is not known; repeat it with its idempotency key.",
)
UPSTREAM_UNAVAILABLE = ProblemType(
    "urn:problem-type:fastness:upstream-unavailable",
    "A service that this one needs takes no more requests",
    503,
    "It was asked and declined, or is too busy to be asked; try again later.",
)
UPSTREAM_TIMEOUT = ProblemType(
    "urn:problem-type:fastness:upstream-timeout",
    "A service that this one needs did not answer in time",
    504,
    "Whether the request had an effect there is not known; repeat it with its idempotency key.",
)


class OutboundError(Exception):
    """A call brought no answer. Its cause, if there is one, is `__cause__`; the text has neither URL nor body.

    Attributes:
        upstream: name of the upstream.
        attempts: requests that were made, 0 if it was refused here.
        status: what the upstream answered, if it did.
        retry_after: seconds that the upstream asked to wait.
    """

    outcome = "unreachable"

    def __init__(
        self,
        upstream: str,
        reason: str,
        *,
        attempts: int,
        status: int | None = None,
        retry_after: float | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(upstream, reason)
        self.upstream = upstream
        self.reason = reason
        self.attempts = attempts
        self.status = status
        self.retry_after = retry_after
        # Another attempt may help; and one is scheduled, which stamina's hooks must not report as well.
        self._transient = transient
        self._retried = False

    def __str__(self) -> str:
        made = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"upstream {self.upstream!r}: {self.reason} ({made})"


class UnreachableError(OutboundError):
    """No connection, one that broke, an answer that is not HTTP, or a gateway's 502."""


class UnavailableError(OutboundError):
    """The upstream answers that it cannot serve now: 429, 503."""

    outcome = "unavailable"


class SaturatedError(UnavailableError):
    """As many calls as are allowed are in flight, and none ended in time. The upstream was not asked."""

    outcome = "saturated"


class UpstreamTimeoutError(OutboundError):
    """No answer within the time of the call or of the request that it is made for, or a gateway's 504."""

    outcome = "timeout"


class ResponseTooLargeError(OutboundError):
    """The answer is larger than allowed, or compressed where that is not."""

    outcome = "too_large"


class ForbiddenTargetError(OutboundError):
    """The guard does not let requests go there. Nothing was sent."""

    outcome = "forbidden"


PROBLEMS: Mapping[type[Exception], ProblemType] = MappingProxyType(
    {
        OutboundError: UPSTREAM_UNREACHABLE,
        UnavailableError: UPSTREAM_UNAVAILABLE,
        UpstreamTimeoutError: UPSTREAM_TIMEOUT,
    }
)
"""For `problems.handlers(PROBLEMS)`: what a request answers when it leaves one of these errors unhandled."""
