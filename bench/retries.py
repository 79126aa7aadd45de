"""How many requests a dead upstream gets for each call: a service under load, and an upstream that always fails.

The service is a real process on uvicorn; what reaches the upstream is counted there, on its sockets. Beside our client runs
what is commonly written, three attempts for each call, so that the figure has something to be compared with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.client import load
from bench.server import Server

LIMIT = 1.2
# How an upstream is dead: it says so, it breaks connections, or it takes them and says nothing.
DEATHS = ("answers 503", "resets", "hangs")


def make(argument: str) -> Any:
    """The service, from `client,port`: `GET /` makes one call, and answers 200 whatever comes of that."""
    from fastapi import FastAPI
    from starlette.middleware import Middleware

    from fastness import outbound
    from fastness.context import ContextMiddleware
    from fastness.deadline import DeadlineMiddleware
    from fastness.lifespan import Resources

    client, port = argument.split(",")
    budgets = {"budget": outbound.RetryBudget(), "unbounded": outbound.RetryBudget(ratio=1.0, reserve=10**9)}
    upstream = outbound.Upstream(
        "dead", f"http://127.0.0.1:{port}", attempt_timeout=1.0, retries=outbound.Retries(wait=0.01), budget=budgets[client]
    )
    middleware = [Middleware(ContextMiddleware), Middleware(DeadlineMiddleware, default=30.0)]
    app = FastAPI(lifespan=Resources([upstream]).lifespan, middleware=middleware)

    @app.get("/")
    async def call() -> dict[str, bool]:
        try:
            await upstream.request("GET")
        except outbound.OutboundError:
            return {"answered": False}
        return {"answered": True}

    return app


class _Upstream:
    """Fails in one way, and counts the requests."""

    def __init__(self, death: str) -> None:
        self.requests = 0
        self._death = death

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if self._death == "resets":
                    writer.transport.abort()
                    return
                if self._death == "answers 503":
                    writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _dead(death: str) -> AsyncIterator[tuple[_Upstream, int]]:
    upstream = _Upstream(death)
    listener = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=512)
    try:
        yield upstream, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def _amplification(client: str, death: str, calls: int) -> float:
    async with _dead(death) as (upstream, port):
        service = await asyncio.to_thread(Server, f"bench.retries:make:{client},{port}")
        try:
            request = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"
            await load(service.port, request, count=calls, connections=32)
        finally:
            await asyncio.to_thread(service.stop)
        if upstream.requests < calls:
            raise RuntimeError(f"{upstream.requests} of {calls} calls reached the upstream: the machine is too busy to measure")
        return upstream.requests / calls


def measure(*, calls: int) -> dict[str, Any]:
    """Requests per call, the worst of the ways to be dead; and what three attempts for each call come to."""
    # A call that hangs takes its time.
    counts = {death: calls // 4 if death == "hangs" else calls for death in DEATHS}
    figures = {death: round(asyncio.run(_amplification("budget", death, count)), 3) for death, count in counts.items()}
    unbounded = round(asyncio.run(_amplification("unbounded", "answers 503", calls // 4)), 3)
    return {"calls": calls, "amplification": max(figures.values()), "by": figures, "unbounded": unbounded}


def failures(figures: dict[str, Any]) -> list[str]:
    """What is above its limit, one line each."""
    worst = figures["amplification"]
    return [f"amplification is {worst}, at most {LIMIT} is wanted"] if worst > LIMIT else []
