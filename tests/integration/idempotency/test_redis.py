"""On a real Redis: the server's clock, entries that expire, clients that decode, and a server that hangs or forgets."""

import asyncio

import pytest
from redis.asyncio import Redis

from fastness.idempotency import RedisStore, State, StoreError, Verdict

KEY, PRINT = bytes(range(32)), bytes(32)


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


def begin(store, owner="first"):
    return store.begin(KEY, fingerprint=PRINT, owner=owner, lease=30, keep=3600)


async def test_entries_expire(redis):
    """An entry leaves the server when its time is over, whatever its state."""
    store = RedisStore(redis, prefix="app:", time_limit=60)
    await begin(store)
    assert await redis.keys() == [b"app:" + KEY.hex().encode()]
    assert 3_500_000 < await redis.pttl(f"app:{KEY.hex()}") <= 3_600_000
    await store.finish(KEY, owner="first", value=b"done", keep=60)
    assert 0 < await redis.pttl(f"app:{KEY.hex()}") <= 60_000


async def test_a_client_that_decodes(redis_url):
    """A client that turns answers into text gives the same bytes."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        store = RedisStore(client, time_limit=60)
        await begin(store)
        await store.finish(KEY, owner="first", value=b"\xff\0", keep=60)
        assert await begin(store, "second") == Verdict(State.DONE, b"\xff\0")


async def test_a_server_that_has_forgotten_the_script_is_told_again(redis):
    """A server that was restarted gets the script with the next request."""
    store = RedisStore(redis, time_limit=60)
    await begin(store)
    await redis.script_flush()
    assert (await begin(store, "second")).state is State.RUNNING


async def test_a_server_that_is_not_there():
    """A server that cannot be reached is an error of the store's."""
    async with Redis(port=1, retry=None) as client:
        with pytest.raises(StoreError, match="Redis: ConnectionError"):
            await begin(RedisStore(client, time_limit=60))


async def test_a_server_that_hangs():
    """A server that does not answer in time is an error of the store's."""
    gone = asyncio.Event()

    async def hang(_reader, writer):
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server, Redis(port=server.sockets[0].getsockname()[1], retry=None) as client:
        with pytest.raises(StoreError, match="Redis: TimeoutError"):
            await begin(RedisStore(client, time_limit=0.01))
        gone.set()


async def test_a_time_limit_is_positive(redis):
    """A limit of 0 is refused."""
    with pytest.raises(ValueError, match="time_limit=0"):
        RedisStore(redis, time_limit=0)
