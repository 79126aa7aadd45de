"""The cache on a real Redis: what every shared store must do, and one load for all processes."""

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from fastness.cache import Cache, RedisStore
from fastness.testing.conformance.cache import SharedStoreConformance

LOADER = Path(__file__).with_name("loader.py")


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


class TestRedisStore(SharedStoreConformance):
    @pytest.fixture
    def store(self, redis):
        return RedisStore(redis)

    @pytest.fixture
    def pass_time(self, redis):
        async def pass_time(seconds):
            for key in await redis.keys():
                await redis.pexpire(key, await redis.pttl(key) - round(seconds * 1000))

        return pass_time


async def test_keys_are_hashed_and_expire(redis):
    """A key says nothing of whom it is about; nothing stays for ever, the lease neither."""
    store = RedisStore(redis, prefix="app:")
    await store.set("alice@example.com" * 100, b"x", 60)
    await store.lease("bob@example.com", 60)
    keys = await redis.keys()
    assert len(keys) == 2
    for key in keys:
        assert key.startswith(b"app:{")
        assert len(key) <= len("app:{}:lease") + 32
        assert 0 < await redis.pttl(key) <= 60_000


@asynccontextmanager
async def cache_of(redis, **options):
    cache = Cache("test", int, **{"store": RedisStore(redis), "ttl": 60, "store_timeout": 60, **options})
    await cache.open()
    try:
        yield cache
    finally:
        await cache.close()


async def test_caches_of_two_processes_share_one_load(redis):
    """Whoever comes second waits for the first, and keeps nothing of its own."""
    loads, go, begun = [], asyncio.Event(), asyncio.Event()

    async def load():
        loads.append(1)
        begun.set()
        await go.wait()
        return len(loads)

    async with cache_of(redis) as one, cache_of(redis) as other:
        first = asyncio.create_task(one.get("a", load))
        await begun.wait()
        second = asyncio.create_task(other.get("a", load))
        go.set()
        assert (await first, await second, len(loads)) == (1, 1, 1)
    assert len(await redis.keys()) == 1


async def test_a_load_that_fails_lets_the_next_one_load(redis):
    """The lease is given back with an error, and with a cancellation."""
    begun = asyncio.Event()

    async def fails():
        raise KeyError("broken")

    async def hangs():
        begun.set()
        await asyncio.Event().wait()

    async def loads():
        return 1

    async with cache_of(redis) as one:
        with pytest.raises(KeyError):
            await one.get("a", fails)
        asking = asyncio.create_task(one.get("b", hangs))
        await begun.wait()
    with pytest.raises(RuntimeError):
        await asking
    assert await redis.keys() == []
    async with cache_of(redis) as other:
        assert [await other.get(key, loads) for key in "ab"] == [1, 1]


async def test_what_was_loaded_before_it_was_forgotten_elsewhere_is_not_kept(redis):
    """Another process changed the source meanwhile, and said so."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow():
        begun.set()
        await go.wait()
        return 1

    async def quick():
        return 2

    async with cache_of(redis) as one, cache_of(redis) as other:
        first = asyncio.create_task(one.get("a", slow))
        await begun.wait()
        await other.forget("a")
        go.set()
        assert await first == 1
        assert await one.get("a", quick) == 2


async def test_a_stale_value_is_refreshed_by_one_process(redis):
    """All give the stale one meanwhile."""
    now, loads, begun, go = [1_000.0], [], asyncio.Event(), asyncio.Event()

    async def load():
        loads.append(1)
        if len(loads) > 1:
            begun.set()
            await go.wait()
        return len(loads)

    options = {"stale": 1_000, "jitter": 0, "clock": lambda: now[0]}
    async with cache_of(redis, **options) as one, cache_of(redis, **options) as other:
        assert await one.get("a", load) == 1
        now[0] += 61
        assert await one.get("a", load) == 1
        await begun.wait()
        assert await other.get("a", load) == 1
        await asyncio.gather(*other._tasks)
        go.set()
        await asyncio.gather(*one._tasks)
        assert (await one.get("a", load), await other.get("a", load), len(loads)) == (2, 2, 2)


async def test_nobody_listens():
    """The service goes on without."""

    async def load():
        return 1

    async with Redis.from_url("redis://127.0.0.1:1/0", retry=None) as client, cache_of(client) as cache:
        assert [await cache.get("a", load) for _ in range(2)] == [1, 1]


async def start(*arguments):
    process = await asyncio.create_subprocess_exec(sys.executable, LOADER, *arguments, stdout=asyncio.subprocess.PIPE)
    assert (await process.stdout.readline()).strip() == b"ready"
    return process


async def test_real_processes_share_one_load(redis, redis_url):
    """Started together, they load once, and all have it."""
    processes = await asyncio.gather(*(start(redis_url, "a") for _ in range(3)))
    await redis.mset({"start": 1, "go": 1})
    outputs = [(await process.communicate())[0].split() for process in processes]
    assert [output[-1] for output in outputs] == [b"1"] * 3
    assert int(await redis.get("loads")) == 1


async def test_a_process_that_is_killed_holds_nobody_up_for_ever(redis, redis_url):
    """Its lease ends, and another one loads."""
    killed = await start(redis_url, "a", "hold")
    await redis.set("start", 1)
    assert (await killed.stdout.readline()).strip() == b"loading"
    killed.kill()
    await killed.communicate()
    [lease] = await redis.keys("*:lease")
    assert 0 < await redis.pttl(lease) <= 31_000
    waiting = await start(redis_url, "a")
    await redis.set("go", 1)
    await redis.pexpire(lease, 1)  # as after half a minute
    assert (await waiting.communicate())[0].split() == [b"loading", b"2"]
