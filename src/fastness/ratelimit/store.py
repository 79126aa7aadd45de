"""Where the state of rate limits is kept: the protocol, and the store in the memory of one process."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol, runtime_checkable

from fastness import _metrics
from fastness.ratelimit.limit import MICROSECONDS, Limit, Verdict

_LONG_KEY = 128


class StoreError(Exception):
    """A store could not say in time whether a request is within its limit."""


@runtime_checkable
class Store(Protocol):
    """Keeps the state of rate limits. `fastness.testing.conformance.ratelimit` is what an implementation must pass."""

    def hit(self, key: str, limit: Limit) -> Verdict | Awaitable[Verdict]:
        """Count one request of `key`, if it is within `limit`. A key is always used with the same limit.

        Raises:
            StoreError: the answer could not be had in time.
        """


class MemoryStore:
    """The state of this process. Each worker process counts by itself; the limit of a service is then a multiple.

    Entries live in two generations, each as long as the whole quota takes to come back: what was not seen for that long is
    forgotten with its generation, without a scan. A generation that is full ends early, so hostile clients can at most make
    the store forget those that it has not seen for longest (`fastness_ratelimit_early_turns_total` counts it).

    Args:
        max_keys: entries kept per length of quota; about 200 bytes each.
        clock: monotonic seconds.

    Raises:
        ValueError: `max_keys` is below 2.
    """

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = monotonic) -> None:
        if max_keys < 2:
            raise ValueError(f"max_keys={max_keys!r} must be at least 2")
        self._clock = clock
        self._full = max_keys // 2
        self._tables: dict[int, _Table] = {}
        self._early_turns = _metrics.counter(
            "fastness_ratelimit_early_turns", "Times that the memory store had to forget keys before their time."
        )

    def hit(self, key: str, limit: Limit) -> Verdict:
        """Count one request of `key`, if it is within `limit`."""
        allowed, debt = self.take(key, limit)
        return Verdict(limit, allowed, debt)

    def take(self, key: str, limit: Limit) -> tuple[bool, int]:
        """`hit` without its object, for the layer that asks on every request: whether it is allowed, and the debt."""
        now = int(self._clock() * MICROSECONDS)
        capacity = limit.capacity
        table = self._tables.get(capacity)
        if table is None:
            table = self._tables[capacity] = _Table(now + capacity)
        elif now >= table.turns_at:
            table.turn(now, capacity)
        if len(key) > _LONG_KEY:
            key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        free_at = table.young.get(key)
        if free_at is None:
            free_at = table.old.get(key, now)
        debt = free_at - now
        # Below: it has been paid. Above: not made by this clock.
        if not 0 <= debt <= capacity:
            debt = 0
        allowed = debt + limit.interval <= capacity
        if allowed:
            debt += limit.interval
        # Also when refused: who goes on sending stays known.
        table.young[key] = now + debt
        if len(table.young) >= self._full:
            self._early_turns.inc()
            table.turn(now, capacity)
        return allowed, debt

    @property
    def size(self) -> int:
        """Entries kept, those included that owe nothing any more."""
        return sum(len(table.young) + len(table.old) for table in self._tables.values())


class _Table:
    """The entries of one length of quota: key -> microsecond at which it owes nothing."""

    __slots__ = ("old", "turns_at", "young")

    def __init__(self, turns_at: int) -> None:
        self.young: dict[str, int] = {}
        self.old: dict[str, int] = {}
        self.turns_at = turns_at

    def turn(self, now: int, capacity: int) -> None:
        # An entry was written before `turns_at`, and owes nothing a capacity later.
        self.old = self.young if now < self.turns_at + capacity else {}
        self.young = {}
        self.turns_at = now + capacity
