"""Keys in Redis, shared by all processes: one script, one round trip a step, the server's clock.

It promises as much as the server keeps: one that evicts keys (`maxmemory-policy` other than `noeviction`), or that fails over
to a replica that lags behind, forgets what was done.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastness._redis import Script
from fastness.idempotency.store import State, StoreError, Verdict

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

# The same steps as `MemoryStore`. Each branch answers a repeated command as it answered the first, because the client library
# sends one again when the connection broke. Times are milliseconds.
_SCRIPT = """
local step, now, owner = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local entry = redis.call('HMGET', KEYS[1], 'owner', 'fingerprint', 'leased_until', 'ends_at', 'value')
local there = entry[1] and tonumber(entry[4]) > now
if step == 'begin' then
    if not there then
        local ends_at = now + tonumber(ARGV[6])
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'owner', owner, 'fingerprint', ARGV[4],
            'leased_until', string.format('%.0f', now + tonumber(ARGV[5])), 'ends_at', string.format('%.0f', ends_at))
        redis.call('PEXPIRE', KEYS[1], ARGV[6])
        return {'started', ''}
    elseif entry[2] ~= ARGV[4] then
        return {'mismatch', ''}
    elseif entry[5] then
        return {'done', entry[5]}
    elseif tonumber(entry[3]) <= now then
        return {'unknown', ''}
    end
    return {entry[1] == owner and 'started' or 'running', ''}
end
if not there or entry[1] ~= owner then
    return 0
elseif step == 'finish' then
    redis.call('HSET', KEYS[1], 'value', ARGV[4], 'ends_at', string.format('%.0f', now + tonumber(ARGV[5])))
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return 1
elseif entry[5] then
    return 0
elseif step == 'extend' then
    redis.call('HSET', KEYS[1], 'leased_until', string.format('%.0f', now + tonumber(ARGV[4])))
    return 1
end
redis.call('DEL', KEYS[1])
return 1
"""


class RedisStore:
    """The keys of all processes that share a Redis (6.2 or newer) or Valkey server.

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
        prefix: str = "fastness:idempotency:",
        time_limit: float = 1.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._script = Script(client, _SCRIPT, time_limit=time_limit, error=StoreError)
        self._prefix = prefix
        self._clock = clock

    async def begin(self, key: bytes, *, fingerprint: bytes, owner: str, lease: float, keep: float) -> Verdict:
        """See `Store`."""
        state, value = await self._run("begin", key, owner, fingerprint.hex(), _milliseconds(lease), _milliseconds(keep))
        # A client with `decode_responses` gives text.
        state = state.decode() if isinstance(state, bytes) else state
        return Verdict(State(state), base64.b64decode(value))

    async def extend(self, key: bytes, *, owner: str, lease: float) -> bool:
        """See `Store`."""
        return bool(await self._run("extend", key, owner, _milliseconds(lease)))

    async def finish(self, key: bytes, *, owner: str, value: bytes, keep: float) -> bool:
        """See `Store`."""
        return bool(await self._run("finish", key, owner, base64.b64encode(value), _milliseconds(keep)))

    async def release(self, key: bytes, *, owner: str) -> bool:
        """See `Store`."""
        return bool(await self._run("release", key, owner))

    async def _run(self, step: str, key: bytes, *arguments: Any) -> Any:
        now = "" if self._clock is None else _milliseconds(self._clock())
        return await self._script.run([self._prefix + key.hex()], step, now, *arguments)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
