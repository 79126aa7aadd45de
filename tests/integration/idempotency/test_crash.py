"""`kill -9` at the worst moments, on both databases: the client retries until it is answered, and there is one effect."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

# Seconds after which something hangs; generous, because it costs nothing where nothing does.
PATIENCE = 90


@asynccontextmanager
async def served(database_url: str, listener: socket.socket) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service under uvicorn. Requests that come before it accepts wait in the listener's backlog."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "--fd", str(listener.fileno()), "shop_app:app"),
        *("--log-level", "warning", "--no-access-log"),
        env={**os.environ, "DATABASE_URL": database_url},
        pass_fds=[listener.fileno()],
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as made:
        yield made


@pytest.fixture
async def client(listener):
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=PATIENCE) as made:
        yield made


async def order(client: httpx2.AsyncClient, key: str, *, die: str = "") -> httpx2.Response:
    return await client.post("/orders", json={"item": "book"}, headers={"Idempotency-Key": key, "X-Die": die})


@pytest.mark.parametrize(
    ("point", "stored"), [("in the handler", False), ("before the commit", False), ("before the response", True)]
)
async def test_one_effect_through_a_crash(database_url, listener, client, point, stored):
    """The process dies at `point`; after a restart the same request is handled, or answered with what was stored."""
    async with served(database_url, listener) as process:
        assert (await order(client, "other")).status_code == 201
        with pytest.raises(httpx2.TransportError):
            await order(client, "a", die=point)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == -9
    async with served(database_url, listener):
        while (answer := await order(client, "a")).status_code == 409:
            # PostgreSQL holds the dead client's lock until it notices; `Retry-After` says as much.
            assert answer.headers["retry-after"] == "1"
            await asyncio.sleep(0.1)
        assert answer.status_code == 201, answer.text
        assert (answer.headers.get("idempotent-replayed") == "true") is stored
        assert (await order(client, "a")).json() == answer.json()
        assert (await client.get("/orders")).json() == 2
