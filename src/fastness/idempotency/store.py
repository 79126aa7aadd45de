"""Where the keys of handlers without a database are kept: the protocol, and the store in the memory of one process.

An entry is *running* under a lease that its handler renews, then *done*. A lease that ran out means that nobody knows whether
the handler had its effect: such an entry stays, and is not run again, until it expires.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import NamedTuple, Protocol, runtime_checkable


class StoreError(Exception):
    """A store could not say in time what is known of a key."""


class State(StrEnum):
    """What a store knows of a key when a request with it begins.

    Attributes:
        STARTED: nothing; the entry is now this request's, which is to be handled.
        RUNNING: another request has it, and its lease runs.
        UNKNOWN: another request has it, and its lease ran out.
        DONE: it was handled, and here is the answer.
        MISMATCH: it belongs to a request with another fingerprint.
    """

    STARTED = "started"
    RUNNING = "running"
    UNKNOWN = "unknown"
    DONE = "done"
    MISMATCH = "mismatch"


class Verdict(NamedTuple):
    """What a store says when a request begins.

    Attributes:
        state: what is known.
        value: with `DONE`, what `finish` was given.
    """

    state: State
    value: bytes = b""


@runtime_checkable
class Store(Protocol):
    """Keeps keys. `fastness.testing.conformance.idempotency` is what an implementation must pass.

    Every method is atomic over all processes, may be repeated with the same arguments (a client library may have sent it
    twice), and raises `StoreError` when the answer could not be had in time.
    """

    async def begin(self, key: bytes, *, fingerprint: bytes, owner: str, lease: float, keep: float) -> Verdict:
        """Take `key` for `owner` if nobody has it.

        Args:
            key: 32 bytes.
            fingerprint: 32 bytes that tell requests with one key apart.
            owner: names this request and no other.
            lease: seconds until the outcome counts as unknown, unless it is renewed.
            keep: seconds until the entry is forgotten, whatever its state.
        """
        ...

    async def extend(self, key: bytes, *, owner: str, lease: float) -> bool:
        """Let the lease run `lease` seconds from now; 0 ends it. False if the entry is not `owner`'s, or done."""
        ...

    async def finish(self, key: bytes, *, owner: str, value: bytes, keep: float) -> bool:
        """Store `value` for `keep` seconds, also when the lease has run out. False if the entry is not `owner`'s."""
        ...

    async def release(self, key: bytes, *, owner: str) -> bool:
        """Forget the entry, because nothing was done. False if it is not `owner`'s, or done."""
        ...


@dataclass(slots=True)
class _Entry:
    fingerprint: bytes
    owner: str
    leased_until: float
    ends_at: float
    value: bytes | None = None


class MemoryStore:
    """The keys of this process, for tests and for a service that never has a second one; they end with it.

    Args:
        max_keys: entries kept. When that many are, new keys are refused: to forget one could repeat its effect.
        clock: monotonic seconds.

    Raises:
        ValueError: `max_keys` is below 1.
    """

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = monotonic) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys={max_keys!r} must be at least 1")
        self._max = max_keys
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}

    async def begin(self, key: bytes, *, fingerprint: bytes, owner: str, lease: float, keep: float) -> Verdict:
        """See `Store`."""
        now = self._clock()
        entry = self._entry(key, now)
        if entry is None:
            self._make_room(now)
            self._entries[key] = _Entry(fingerprint, owner, now + lease, now + keep)
            return Verdict(State.STARTED)
        if entry.fingerprint != fingerprint:
            return Verdict(State.MISMATCH)
        if entry.value is not None:
            return Verdict(State.DONE, entry.value)
        if entry.leased_until <= now:
            return Verdict(State.UNKNOWN)
        return Verdict(State.STARTED if entry.owner == owner else State.RUNNING)

    async def extend(self, key: bytes, *, owner: str, lease: float) -> bool:
        """See `Store`."""
        entry = self._running(key, owner)
        if entry is None:
            return False
        entry.leased_until = self._clock() + lease
        return True

    async def finish(self, key: bytes, *, owner: str, value: bytes, keep: float) -> bool:
        """See `Store`."""
        now = self._clock()
        entry = self._entry(key, now)
        if entry is None or entry.owner != owner:
            return False
        entry.value, entry.ends_at = value, now + keep
        return True

    async def release(self, key: bytes, *, owner: str) -> bool:
        """See `Store`."""
        if self._running(key, owner) is None:
            return False
        del self._entries[key]
        return True

    def _entry(self, key: bytes, now: float) -> _Entry | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry.ends_at > now else None

    def _running(self, key: bytes, owner: str) -> _Entry | None:
        entry = self._entry(key, self._clock())
        return entry if entry is not None and entry.owner == owner and entry.value is None else None

    def _make_room(self, now: float) -> None:
        if len(self._entries) < self._max:
            return
        self._entries = {key: entry for key, entry in self._entries.items() if entry.ends_at > now}
        if len(self._entries) >= self._max:
            raise StoreError(f"all {self._max} entries are taken by keys that have not expired")
