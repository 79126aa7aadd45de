"""The state of rate limits in Redis, shared by all processes: one script, one round trip, the server's clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastness._redis import Script
from fastness.ratelimit.limit import MICROSECONDS, Limit, Verdict
from fastness.ratelimit.store import StoreError

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

# The same steps as `MemoryStore.hit`. Lua counts in doubles, which are exact for microseconds until the year 2255. The key
# lives as long as it owes something. A value that is no number does no harm.
_SCRIPT = """
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[3])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local free_at = tonumber(redis.call('GET', KEYS[1]) or '') or now
local debt = free_at - now
if debt < 0 or debt > capacity then
    debt = 0
end
local owed = debt + interval
if owed > capacity then
    return {0, debt}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + owed), 'PX', math.ceil(owed / 1000))
return {1, owed}
"""


class RedisStore:
    """The state of all processes that share a Redis (6.2 or newer) or Valkey server.

    Keys are hashed, so that they are short and say nothing of who is behind them, and expire when they owe nothing.

    Args:
        client: what speaks to the server; the application opens and closes it.
        prefix: stands before every key.
        time_limit: seconds within which the server must answer; a slow one counts as unavailable.
        clock: for tests, seconds; None takes the server's time, which all processes agree on.

    Raises:
        ValueError: `time_limit` is not positive.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "fastness:ratelimit:",
        time_limit: float = 0.1,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._script = Script(client, _SCRIPT, time_limit=time_limit, error=StoreError)
        self._prefix = prefix
        self._clock = clock

    async def hit(self, key: str, limit: Limit) -> Verdict:
        """Count one request of `key`, if it is within `limit`.

        Raises:
            StoreError: the server could not be reached, refused, or did not answer in time.
        """
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        now = "" if self._clock is None else str(int(self._clock() * MICROSECONDS))
        allowed, debt = await self._script.run([self._prefix + hashed], limit.interval, limit.capacity, now)
        return Verdict(limit, bool(allowed), int(debt))
