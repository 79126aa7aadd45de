"""A process that asks a cache on Redis for one value: `loader.py URL KEY HOLD`. It counts its loads in Redis itself.

Prints `loading` when it begins to load, and what it got. With `HOLD` it never ends a load.
"""

# ruff: noqa: T201

import asyncio
import sys

from redis.asyncio import Redis

from fastness.cache import Cache, RedisStore


async def main(url: str, key: str, hold: bool) -> None:
    async with Redis.from_url(url) as client:
        cache = Cache("shared", int, store=RedisStore(client), ttl=60, load_timeout=30, store_timeout=30)
        await cache.open()

        async def load() -> int:
            count = int(await client.incr("loads"))
            print("loading", flush=True)
            if hold:
                await asyncio.Event().wait()
            while not await client.get("go"):  # noqa: ASYNC110 - another process sets it
                await asyncio.sleep(0.01)
            return count

        print("ready", flush=True)
        while not await client.get("start"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        value = await cache.get(key, load)
        print(value, flush=True)
        await cache.close()


asyncio.run(main(sys.argv[1], sys.argv[2], hold=len(sys.argv) > 3))
