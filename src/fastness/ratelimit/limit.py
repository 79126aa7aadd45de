"""What a rate limit is, and the arithmetic of its verdicts. It stores nothing.

The algorithm is GCRA (ITU-T I.371, annex A): each key has one number, the time at which it will owe nothing any more. A
request adds one interval to what is owed and is refused if that would exceed the capacity. All times are whole
microseconds, so that every store comes to the same answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

MICROSECONDS = 1_000_000
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT = re.compile(
    r"(?P<count>[0-9]{1,9})\s*(?:/|\bper\b)\s*(?:(?P<many>[0-9]{1,9})\s*)?(?P<unit>second|minute|hour|day)s?"
    r"(?:\s*,\s*burst\s+(?P<burst>[0-9]{1,9}))?"
)
_MAX_PER_SECOND = 10_000
_MAX_WINDOW = 366 * 86400


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests per time, and so many of them at once.

    Quota comes back evenly, one request each `window / count` seconds, not all at once at the end of a window.

    Attributes:
        count: requests per window.
        window: seconds.
        burst: requests that an idle key may send at once; 0 stands for `count`.
        interval: microseconds in which the quota of one request comes back.
        capacity: microseconds in which all of it comes back.

    Raises:
        ValueError: a number is out of range.
    """

    count: int
    window: int
    burst: int = 0
    interval: int = field(init=False, compare=False, repr=False)
    capacity: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.count < 1 or not 1 <= self.window <= _MAX_WINDOW or self.burst < 0:
            raise ValueError(f"limit {self!r}: count must be at least 1, window 1 to {_MAX_WINDOW} seconds, burst at least 0")
        if self.count > _MAX_PER_SECOND * self.window:
            raise ValueError(f"limit {self!r}: more than {_MAX_PER_SECOND} requests per second is not a limit of one key")
        object.__setattr__(self, "burst", self.burst or self.count)
        # Rounded up: over a long time never more than was promised.
        interval = -(-self.window * MICROSECONDS // self.count)
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "capacity", interval * self.burst)

    @classmethod
    def parse(cls, text: str) -> Limit:
        """A limit as people write it: `10/minute`, `5 per 10 seconds`, `100/second, burst 200`.

        Raises:
            ValueError: the text is not a limit.
        """
        match = _LIMIT.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(f"rate limit {text!r} is not like '10/minute', '5 per 10 seconds' or '100/second, burst 200'")
        window = _UNITS[match["unit"]] * int(match["many"] or 1)
        if match["burst"] is not None and int(match["burst"]) == 0:
            raise ValueError(f"rate limit {text!r}: a burst of 0 would refuse every request")
        return cls(int(match["count"]), window, int(match["burst"] or 0))

    def __str__(self) -> str:
        unit, seconds = max(
            ((unit, size) for unit, size in _UNITS.items() if self.window % size == 0), key=lambda item: item[1]
        )
        many = self.window // seconds
        per = f"{self.count}/{unit}" if many == 1 else f"{self.count} per {many} {unit}s"
        return per if self.burst == self.count else f"{per}, burst {self.burst}"


class Verdict(NamedTuple):
    """What a store says of one request.

    Attributes:
        limit: what it was measured against.
        allowed: the request is within the limit, and counted.
        debt: microseconds until the key owes nothing, this request included if it was allowed.
    """

    limit: Limit
    allowed: bool
    debt: int

    @property
    def remaining(self) -> int:
        """Requests that the key may send at once from now."""
        return (self.limit.capacity - self.debt) // self.limit.interval

    @property
    def wait(self) -> int:
        """Whole seconds, at least 1, after which the key may send one more than `remaining`."""
        owed = self.debt - self.limit.capacity + (self.remaining + 1) * self.limit.interval
        return -(-owed // MICROSECONDS)
