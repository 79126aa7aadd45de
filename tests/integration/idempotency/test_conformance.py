"""Redis gives the answers that every store must give."""

import pytest
from redis.asyncio import Redis

from fastness.idempotency import RedisStore
from fastness.testing.conformance.idempotency import StoreConformance


class TestRedisStore(StoreConformance):
    @pytest.fixture
    async def make_store(self, redis_url):
        async with Redis.from_url(redis_url) as client:
            yield lambda clock: RedisStore(client, clock=clock, time_limit=60)
