"""When a job that failed is tried again: policies, and what a task raises to decide itself. Nothing here runs a job."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Random = Callable[[], float]


def _check(policy: object, *, attempts: int, jitter: float) -> None:
    if attempts < 1 or not 0 <= jitter <= 1:
        raise ValueError(f"retry: {policy} needs attempts >= 1 and a jitter from 0 to 1")


def _spread(seconds: float, jitter: float, random: Random) -> float:
    return seconds * (1 + jitter * (2 * random() - 1))


class RetryPolicy(Protocol):
    """How often a task is attempted, and how long it waits in between."""

    @property
    def attempts(self) -> int:
        """Attempts altogether, the first included."""

    def delay(self, attempt: int, random: Random = random.random) -> float:
        """Seconds to wait after attempt number `attempt`, counted from 1, has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits that grow by a factor, with jitter so that jobs that failed together do not come back together.

    Attributes:
        attempts: altogether, the first included.
        first: seconds after the first attempt.
        factor: by which the wait grows each time.
        longest: seconds at most.
        jitter: share of the wait that is random: 0.2 spreads it over 80 % to 120 %.
    """

    attempts: int = 5
    first: float = 1.0
    factor: float = 4.0
    longest: float = 3600.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        _check(self, attempts=self.attempts, jitter=self.jitter)
        if not (0 <= self.first <= self.longest < math.inf and self.factor >= 1):
            raise ValueError(f"retry: {self} needs 0 <= first <= longest and factor >= 1")

    def delay(self, attempt: int, random: Random = random.random) -> float:
        """See `RetryPolicy`."""
        # The exponent is bounded, or a float overflows long after the wait has stopped growing.
        return _spread(min(self.longest, self.first * self.factor ** min(attempt - 1, 64)), self.jitter, random)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits that are written down.

    Attributes:
        delays: seconds after the first attempt, after the second, and so on; there is one attempt more than delays.
        jitter: share of each wait that is random.
    """

    delays: Sequence[float]
    jitter: float = 0.2

    def __post_init__(self) -> None:
        _check(self, attempts=self.attempts, jitter=self.jitter)
        if not all(0 <= seconds < math.inf for seconds in self.delays):
            raise ValueError(f"retry: {self} has a delay that is not a number of seconds from 0 up")

    @property
    def attempts(self) -> int:
        """One more than there are delays."""
        return len(self.delays) + 1

    def delay(self, attempt: int, random: Random = random.random) -> float:
        """See `RetryPolicy`. A job that somebody retries by hand beyond its schedule waits as long as at its end."""
        return _spread(self.delays[min(attempt, len(self.delays)) - 1], self.jitter, random) if self.delays else 0.0


ONCE = Schedule(())
"""No second attempt after a failure. A job whose worker died is run again all the same: nobody knows how far it came."""

STANDARD_WEBHOOKS = Schedule((5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""The schedule of https://www.standardwebhooks.com: ten attempts within about three days."""


class Retry(Exception):  # noqa: N818 - an instruction, as `StopIteration` is
    """Raised by a task: this attempt came to nothing, and the policy's next one is to be made.

    Args:
        reason: shown as the job's error. It is stored: no secrets.
        after: seconds to wait, instead of the policy's: what a `Retry-After` header said.
    """

    def __init__(self, reason: str = "the task asked for another attempt", *, after: float | None = None) -> None:
        if after is not None and not 0 <= after < math.inf:
            raise ValueError(f"Retry(after={after!r}): give seconds from 0 up")
        super().__init__(reason)
        self.after = after


class GiveUp(Exception):  # noqa: N818
    """Raised by a task: another attempt would come to nothing either. The job ends as failed.

    Args:
        reason: shown as the job's error. It is stored: no secrets.
    """
