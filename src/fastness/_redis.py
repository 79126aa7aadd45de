"""Scripts that run in Redis: one round trip, a time limit, one kind of error. What they do is their stores' affair."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster


class Script:
    """A Lua script for one server (Redis 6.2 or newer, Valkey), which learns it with the first call.

    Args:
        client: what speaks to the server; the application opens and closes it.
        source: in Lua. The client library sends a call again when its connection broke: the script must answer a repeated
            call as it answered the first.
        time_limit: seconds within which the server must answer; None leaves that to the caller.
        error: what is raised when the server cannot be reached, refuses, or does not answer in time, with the cause as its
            text; None lets the library's errors pass.

    Raises:
        ImportError: `fastness[redis]` is not installed.
        ValueError: `time_limit` is not positive.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        source: str,
        *,
        time_limit: float | None = None,
        error: type[Exception] | None = None,
    ) -> None:
        from redis.exceptions import NoScriptError, RedisError

        if time_limit is not None and time_limit <= 0:
            raise ValueError(f"time_limit={time_limit!r} must be seconds above 0")
        self._client: Any = client
        self._source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # how EVALSHA names a script
        self._time_limit = time_limit
        self._error = error
        self._unknown_script = NoScriptError
        self._failures = (RedisError, OSError)  # TimeoutError is an OSError

    async def run(self, keys: Sequence[str], *arguments: Any) -> Any:
        """What the script returns for these `KEYS` and `ARGV`."""
        sent = (len(keys), *keys, *arguments)
        try:
            async with asyncio.timeout(self._time_limit):
                try:
                    return await self._client.evalsha(self._digest, *sent)
                except self._unknown_script:  # a server that was started since
                    return await self._client.eval(self._source, *sent)
        except self._failures as failure:
            if self._error is None:
                raise
            raise self._error(f"Redis: {type(failure).__name__}: {failure}") from failure
