"""Rate limits that all processes share, in Redis."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastness import testing
from fastness.ratelimit import Limit
from pydantic import SecretStr

from app.core.config import Settings
from app.infra.cache.redis import RedisCache
from app.main import create_app


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisCache]:
    made = RedisCache(redis_url)
    await made.open()
    yield made
    await made.close()


async def test_two_processes_share_a_limit(cache: RedisCache, redis_url: str) -> None:
    """What one has used, the other does not have."""
    other = RedisCache(redis_url)
    limit = Limit.parse("1/minute")
    assert (await cache.rate_limits().hit("acme", limit)).allowed
    assert not (await other.rate_limits().hit("acme", limit)).allowed
    await other.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_service_is_ready_with_redis(settings: Settings, redis_url: str) -> None:
    """It is one of the resources that readiness shows."""
    async with testing.client(with_redis(settings, redis_url)) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "ok")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_service_does_without_redis_for_a_while(settings: Settings) -> None:
    """It says so, stays ready, and lets requests through."""
    async with testing.client(with_redis(settings, "redis://127.0.0.1:9")) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "failing")


def with_redis(settings: Settings, url: str) -> FastAPI:
    return create_app(settings.model_copy(update={"redis_url": SecretStr(url)}))
