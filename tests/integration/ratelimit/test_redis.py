"""On a real Redis: one round trip, the server's clock, short keys that expire, and a bounded wait for a server that hangs."""

import asyncio

import pytest
from redis.asyncio import Redis

from fastness.ratelimit import Limit, RedisStore, StoreError


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_parallel_requests_share_one_quota(redis):
    """However many arrive at once, through however many processes' stores, exactly the burst is allowed."""
    stores = [RedisStore(redis, time_limit=60) for _ in range(4)]
    limit = Limit(10, 3600)
    verdicts = await asyncio.gather(*(stores[number % 4].hit("key", limit) for number in range(60)))
    assert sum(verdict.allowed for verdict in verdicts) == 10
    assert sorted(verdict.remaining for verdict in verdicts if verdict.allowed) == list(range(10))


async def test_keys_are_hashed_and_expire(redis):
    """A key says nothing of the client, is short however long the client's was, and expires when nothing is owed."""
    store = RedisStore(redis, prefix="app:", time_limit=60)
    await store.hit("secret" * 10_000, Limit(6, 3600))
    (key,) = await redis.keys()
    assert key.startswith(b"app:")
    assert len(key) == len("app:") + 32
    assert 500_000 < await redis.pttl(key) <= 600_000
    await store.hit("secret" * 10_000, Limit(6, 3600))
    assert 1_100_000 < await redis.pttl(key) <= 1_200_000


async def test_time_is_the_servers(redis):
    """What is kept is reckoned by the server's clock, so that processes with different clocks agree."""
    await RedisStore(redis, time_limit=60).hit("key", Limit(1, 3600))
    (key,) = await redis.keys()
    seconds, microseconds = await redis.time()
    owed = int(await redis.get(key)) - (seconds * 1_000_000 + microseconds)
    assert 3_500_000_000 < owed <= 3_600_000_000


async def test_a_hit_is_one_round_trip(redis):
    """Once the server knows the script, a hit is one command, also after the server has forgotten it."""
    store, limit = RedisStore(redis, time_limit=60), Limit(100, 60)
    await store.hit("key", limit)
    sent = []
    execute = redis.execute_command

    async def watched(*arguments, **options):
        sent.append(arguments[0])
        return await execute(*arguments, **options)

    redis.execute_command = watched
    await store.hit("key", limit)
    assert sent == ["EVALSHA"]


async def test_a_server_that_has_forgotten_the_script_is_told_again(redis):
    """A server that was restarted gets the script with the next request."""

    class Forgetful:
        def evalsha(self, digest, *arguments):
            return redis.evalsha("0" * 40, *arguments)

        def eval(self, script, *arguments):
            return redis.eval(script, *arguments)

    assert (await RedisStore(Forgetful(), time_limit=60).hit("key", Limit(1, 60))).allowed


async def test_a_foreign_value_does_no_harm(redis):
    """A value that is no number counts as no debt."""
    store, limit = RedisStore(redis, time_limit=60), Limit(1, 60)
    await store.hit("key", limit)
    (key,) = await redis.keys()
    await redis.set(key, "nonsense")
    assert (await store.hit("key", limit)).allowed
    assert not (await store.hit("key", limit)).allowed


async def test_nobody_listens():
    """A server that is not there is `StoreError`, not an exception of the driver."""
    async with Redis.from_url("redis://127.0.0.1:1/0", retry=None) as client:
        with pytest.raises(StoreError, match="Redis"):
            await RedisStore(client, time_limit=60).hit("key", Limit(1, 60))


async def test_a_wrong_type_is_a_store_error(redis):
    """An error that the server answers with is `StoreError` too."""
    store = RedisStore(redis, time_limit=60)
    await store.hit("key", Limit(1, 60))
    (key,) = await redis.keys()
    await redis.delete(key)
    await redis.lpush(key, "x")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await store.hit("key", Limit(1, 60))


async def test_a_server_that_hangs_costs_no_more_than_the_time_limit():
    """A server that takes connections and never answers is given up after the time limit."""

    async def hang(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # The client itself would wait for ever: only the time limit can end it.
    async with server, Redis(host="127.0.0.1", port=port, socket_timeout=None, retry=None) as client:
        async with asyncio.timeout(60):
            with pytest.raises(StoreError, match="TimeoutError"):
                await RedisStore(client, time_limit=0.05).hit("key", Limit(1, 60))
        await client.aclose()


async def test_an_answer_that_came_too_late_is_not_taken_for_the_next(redis):
    """After requests were given up in flight, later ones on the same client still get their own answers."""
    slow, settings = asyncio.Event(), redis.get_connection_kwargs()

    async def forward(source, target):
        while data := await source.read(65536):
            await slow.wait()
            target.write(data)
        target.close()

    async def proxy(reader, writer):
        server_reader, server_writer = await asyncio.open_connection(settings["host"], settings["port"])
        await asyncio.gather(forward(reader, server_writer), forward(server_reader, writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Redis(host="127.0.0.1", port=port, db=settings["db"], max_connections=2) as client:
        slow.set()
        patient, hasty = RedisStore(client, time_limit=60), RedisStore(client, time_limit=0.02)
        await patient.hit("busy", Limit(1, 3600))
        slow.clear()
        given_up = await asyncio.gather(*(hasty.hit("busy", Limit(1, 3600)) for _ in range(2)), return_exceptions=True)
        assert {type(answer) for answer in given_up} == {StoreError}
        slow.set()
        for number in range(1, 6):
            verdict = await patient.hit("quiet", Limit(5, 3600))
            assert (verdict.allowed, verdict.remaining) == (True, 5 - number)
        await client.aclose()
