"""Cached values in Redis, shared by all processes, with leases so that one of them loads for all."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from fastness._redis import Script

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

# A lease is compared and used in one step: whoever lost it in the meantime must change nothing.
_FILL = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
"""


class RedisStore:
    """The values of all processes that share a Redis (6.2 or newer) or Valkey server.

    Keys are hashed, so that they are short and say nothing of whom they are about. Give the server a `maxmemory` and an
    eviction policy: what it evicts is a miss.

    Args:
        client: what speaks to the server; the application opens and closes it. It must not decode answers.
        prefix: stands before every key.
    """

    def __init__(self, client: Redis | RedisCluster, *, prefix: str = "fastness:cache:") -> None:
        self._client: Any = client
        self._fill = Script(client, _FILL)  # how long it may take is the cache's to say
        self._release = Script(client, _RELEASE)
        self._prefix = prefix

    async def get(self, key: str) -> bytes | None:
        """The value, if there is one."""
        value: bytes | None = await self._client.get(self._names(key)[0])
        return value

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value."""
        await self._client.set(self._names(key)[0], value, px=_milliseconds(seconds))

    async def delete(self, key: str) -> None:
        """Forget a value, and void the lease under which another one is being loaded."""
        await self._client.delete(*self._names(key))

    async def lease(self, key: str, seconds: float) -> str | None:
        """The right to load the value."""
        token = secrets.token_hex(16)
        taken = await self._client.set(self._names(key)[1], token, nx=True, px=_milliseconds(seconds))
        return token if taken else None

    async def fill(self, key: str, value: bytes, seconds: float, token: str) -> bool:
        """Keep a value that was loaded under a lease."""
        return bool(await self._fill.run(self._names(key), token, value, _milliseconds(seconds)))

    async def release(self, key: str, token: str) -> None:
        """Give the lease back."""
        await self._release.run(self._names(key)[1:], token)

    def _names(self, key: str) -> tuple[str, str]:
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        # The braces keep both on one node of a cluster.
        return f"{self._prefix}{{{hashed}}}", f"{self._prefix}{{{hashed}}}:lease"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
