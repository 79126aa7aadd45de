"""Calls to other services, bounded in time, number and size. What a service answers itself lives elsewhere."""

from fastness.outbound.errors import (
    PROBLEMS,
    ForbiddenTargetError,
    OutboundError,
    ResponseTooLargeError,
    SaturatedError,
    UnavailableError,
    UnreachableError,
    UpstreamTimeoutError,
)
from fastness.outbound.guard import ForbiddenURLError, Guard
from fastness.outbound.retries import Retries, RetryBudget, retry_after_seconds
from fastness.outbound.upstream import Upstream

__all__ = [
    "PROBLEMS",
    "ForbiddenTargetError",
    "ForbiddenURLError",
    "Guard",
    "OutboundError",
    "ResponseTooLargeError",
    "Retries",
    "RetryBudget",
    "SaturatedError",
    "UnavailableError",
    "UnreachableError",
    "Upstream",
    "UpstreamTimeoutError",
    "retry_after_seconds",
]
