"""Where cached values are kept: the protocols, and the store in the memory of one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Protocol, runtime_checkable

from fastness import _metrics


@runtime_checkable
class Store(Protocol):
    """Keeps bytes for a time. `fastness.testing.conformance.cache` is what an implementation must pass.

    It may raise whatever it likes and forget whatever it likes: for the cache both is a miss. It need not bound its own time.
    """

    async def get(self, key: str) -> bytes | None:
        """What was last set, unless it was deleted, has expired or was forgotten."""

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds."""

    async def delete(self, key: str) -> None:
        """Keep it no longer; nor what is loaded under a lease that somebody has now."""


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that several processes share, so that one of them can load for all."""

    async def lease(self, key: str, seconds: float) -> str | None:
        """The right to load a value, as a token: for one at a time, and for so many seconds. None while another has it."""

    async def fill(self, key: str, value: bytes, seconds: float, token: str) -> bool:
        """`set` and give the lease back, if it is still held; else change nothing and say False."""

    async def release(self, key: str, token: str) -> None:
        """Give the lease back, if it is still held."""


class MemoryStore:
    """The values of this process: those used last, as many as fit.

    Args:
        max_entries: values kept.
        max_bytes: bytes of all keys and values together; a value that is larger than a tenth of it is not kept.
        clock: monotonic seconds.

    Raises:
        ValueError: a bound is not positive.
    """

    def __init__(
        self, *, max_entries: int = 10_000, max_bytes: int = 67_108_864, clock: Callable[[], float] = monotonic
    ) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ValueError(f"memory store: max_entries={max_entries!r} and max_bytes={max_bytes!r} must be positive")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._evicted = _metrics.counter(
            "fastness_cache_evicted", "Values that a memory store forgot before their time, for lack of room."
        )

    async def get(self, key: str) -> bytes | None:
        """The value, if there is one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, ends_at = entry
        if self._clock() >= ends_at:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value, and forget those that were not used for longest if there is no room."""
        self._remove(key)
        if _size(key, value) > self._max_bytes // 10:
            return
        self._entries[key] = value, self._clock() + seconds
        self._bytes += _size(key, value)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))
            self._evicted.inc()

    async def delete(self, key: str) -> None:
        """Forget a value."""
        self._remove(key)

    def __len__(self) -> int:
        return len(self._entries)

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(key, entry[0])


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value)
