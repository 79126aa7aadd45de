"""Redis as a resource of the service. What is in it may be lost: rate limits today, caches tomorrow."""

from fastness.ratelimit import RedisStore
from redis.asyncio import Redis


class RedisCache:
    """A connection pool to one Redis server. The service serves without it; see `optional` in `app.main`.

    Args:
        url: `redis://host:6379/0`, or `rediss://` with TLS.

    Raises:
        ValueError: it is not the URL of a Redis server.
    """

    name = "redis"

    def __init__(self, url: str) -> None:
        self.client: Redis = Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0)

    def rate_limits(self) -> RedisStore:
        """A store of rate limits that all processes share."""
        return RedisStore(self.client)

    async def open(self) -> None:
        """Nothing: it connects when it is first used, and a server that is away must not stop the start."""

    async def check(self) -> None:
        """Raises when the server does not answer."""
        await self.client.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()
