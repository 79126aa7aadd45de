"""The key cache against a real HTTP server on loopback: slow, large, silent, and dying."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from fastness.auth import JWKS, JWTVerifier, Reason, Refused, Unavailable

pytestmark = pytest.mark.anyio

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request with what `answer` writes."""

    def __init__(self) -> None:
        self.keys = [ECKey.generate_key("P-256", {"kid": "one"})]
        self.answer: Answer = self.publish
        self.requests = 0
        self.url = ""
        self.asked = asyncio.Condition()

    async def publish(self, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            async with self.asked:
                self.asked.notify_all()
            await self.answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def wait_for(self, requests: int) -> None:
        async with asyncio.timeout(60), self.asked:
            await self.asked.wait_for(lambda: self.requests >= requests)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
        try:
            yield
        finally:
            server.close()

    def token(self, key: ECKey) -> str:
        claims = {"iss": "https://issuer.example", "aud": "relay", "sub": "alice", "exp": int(time.time()) + 60}
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": key.kid}, claims, key)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with server.running():
        yield server


@asynccontextmanager
async def opened(server: Server, **options: Any) -> AsyncIterator[tuple[JWKS, JWTVerifier]]:
    jwks = JWKS(server.url, **{"cooldown": 1e-9, "timeout": 60.0, **options})
    await jwks.open()
    try:
        verifier = JWTVerifier(issuer="https://issuer.example", audience="relay", keys=jwks, algorithms=("ES256",))
        yield jwks, verifier
    finally:
        await jwks.close()


async def test_tokens_are_verified_through_a_rotation(server: Server) -> None:
    """The old key, both, then the new one alone: whoever holds a token of a published key gets in."""
    async with opened(server) as (jwks, verifier):
        old, new = server.keys[0], ECKey.generate_key("P-256", {"kid": "two"})
        assert (await verifier.verify(server.token(old))).subject == "alice"
        with pytest.raises(Refused) as refused:
            await verifier.verify(server.token(new))
        assert refused.value.reason is Reason.UNKNOWN_KEY
        server.keys = [old, new]
        await asyncio.gather(*(verifier.verify(server.token(key)) for key in (old, new) * 20))
        server.keys = [new]
        assert await jwks.run_once()
        with pytest.raises(Refused):
            await verifier.verify(server.token(old))


async def test_a_stampede_of_tokens_is_one_fetch(server: Server) -> None:
    """A hundred requests with a new key at once are one request to the issuer."""
    async with opened(server) as (_, verifier):
        new = ECKey.generate_key("P-256", {"kid": "two"})
        server.keys.append(new)
        await asyncio.gather(*(verifier.verify(server.token(new)) for _ in range(100)))
    assert server.requests == 2


async def test_keys_are_refreshed_in_the_background(server: Server) -> None:
    """Without any request, a new set is picked up, and closing ends it."""
    async with opened(server, refresh_every=0.01) as (jwks, _):
        server.keys = [ECKey.generate_key("P-256", {"kid": "two"})]
        seen = server.requests
        # When the second one is asked for, the first has been taken over.
        await server.wait_for(seen + 2)
        assert await jwks.find("two", "ES256") is not None
    tasks = [task for task in asyncio.all_tasks() if "JWKS" in task.get_coro().__qualname__]  # type: ignore[union-attr]
    assert tasks == []


async def test_a_dead_server_leaves_its_keys(server: Server) -> None:
    """When nothing listens any more, tokens are still verified; a service that starts now has no keys and says so."""
    async with opened(server) as (jwks, verifier):
        token = server.token(server.keys[0])

        async def hang_up(_: asyncio.StreamWriter) -> None:
            return None

        server.answer = hang_up
        assert not await jwks.run_once()
        assert (await verifier.verify(token)).subject == "alice"
        async with opened(server) as (_, late):
            with pytest.raises(Unavailable):
                await late.verify(token)


async def test_a_slow_server_is_given_up(server: Server) -> None:
    """The time limit is for the whole fetch: a byte now and then does not extend it."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with opened(server) as (jwks, _):
        server.answer = drip
        jwks._timeout = 0.25  # only now, so that the first fetch may take its time
        async with asyncio.timeout(60):
            assert not await jwks.run_once()
        await jwks.check()


async def test_a_large_answer_is_given_up(server: Server) -> None:
    """Reading stops at max_bytes, also where no length was announced."""
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        for _ in range(2000):
            writer.write(b" " * 65_536)
            await writer.drain()
            written += 65_536

    async with opened(server, max_bytes=10_000) as (jwks, _):
        server.answer = flood
        assert not await jwks.run_once()
        await jwks.check()
    assert written < 2000 * 65_536


async def test_opening_that_is_cancelled_leaves_nothing_behind(server: Server) -> None:
    """A lifespan that gives up on a slow issuer has no task and no connection left, and may try again."""
    forever = asyncio.Event()

    async def hang(_: asyncio.StreamWriter) -> None:
        await forever.wait()

    server.answer = hang
    jwks = JWKS(server.url, timeout=60.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await jwks.open()
    forever.set()
    server.answer = server.publish
    await jwks.open()
    await jwks.check()
    await jwks.close()
