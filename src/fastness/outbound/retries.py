"""When a failed attempt is made again: which requests may be, how long to wait, and how many of all calls may."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time

# Repeating the request has no further effect: RFC 9110, section 9.2.2, and for QUERY RFC 10008.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "QUERY"})
_MAX_SECONDS_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is attempted, and how long is waited in between.

    Attributes:
        attempts: at most so many requests per call, 1 to 3.
        wait: seconds before the second attempt, at most twice that; it doubles with each further one and is spread at random.
        max_wait: seconds that no such wait exceeds. What `Retry-After` asks for is waited in any case, or the call given up.

    Raises:
        ValueError: a number is out of range.
    """

    attempts: int = 3
    wait: float = 0.1
    max_wait: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 3:
            raise ValueError(f"retries: attempts={self.attempts!r} must be 1 to 3; more is load, not reliability")
        if not 0 < self.wait <= self.max_wait < math.inf:
            raise ValueError(
                f"retries: wait={self.wait!r} and max_wait={self.max_wait!r} must be seconds, 0 < wait <= max_wait"
            )

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after that many attempts."""
        pause = random.uniform(self.wait / 2, min(self.max_wait, self.wait * 2**attempt))  # noqa: S311 - hides nothing
        # All whom an upstream sends away at once are told the same time: the spread stays.
        return pause if retry_after is None else retry_after + pause


class RetryBudget:
    """Bounds the retries to one upstream to a share of the calls: a token bucket that each call fills a little.

    Nothing fills it with time. A bucket that does so lets a service of little traffic retry everything, for as long as the
    upstream is dead; this one gives `reserve` retries and then the share, whatever the rate.

    Args:
        ratio: retries per call.
        reserve: retries that a full bucket holds, which is also what a process starts with.

    Raises:
        ValueError: a number is out of range.
    """

    __slots__ = ("_ratio", "_reserve", "_tokens")

    def __init__(self, *, ratio: float = 0.1, reserve: int = 10) -> None:
        if not 0 <= ratio <= 1 or reserve < 1:
            raise ValueError(f"retry budget: ratio={ratio!r} must be 0 to 1 and reserve={reserve!r} at least 1")
        self._ratio = ratio
        self._reserve = float(reserve)
        self._tokens = float(reserve)

    def deposit(self) -> None:
        """Count one call."""
        self._tokens = min(self._reserve, self._tokens + self._ratio)

    def withdraw(self) -> bool:
        """Take the right to one retry; False when there is none."""
        # Ten times a tenth is a little less than one.
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens = max(0.0, self._tokens - 1)
        return True


def repeatable(method: str, *, keyed: bool) -> bool:
    """Whether a request may be made twice: its method is idempotent, or it carries an `Idempotency-Key`."""
    return keyed or method.upper() in _IDEMPOTENT


def retry_after_seconds(value: str | None, clock: Callable[[], float] = time) -> float | None:
    """What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date. None if it says neither.

    Args:
        value: of the header.
        clock: seconds since 1970.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_SECONDS_DIGITS else None
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, date.timestamp() - clock())
    except (ValueError, OverflowError, TypeError):
        return None
