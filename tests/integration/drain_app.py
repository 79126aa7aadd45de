"""The service that the drain tests start in a process of its own: a slow request, a stream, a WebSocket, readiness."""

# ruff: noqa: T201 - what is printed is what the tests read

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from fastness import health
from fastness.lifespan import CurrentDrain, Drain, Managed, Resources


@asynccontextmanager
async def ledger() -> AsyncIterator[str]:
    print("ledger opened", flush=True)
    yield "ledger"
    print("ledger closed", flush=True)


resources = Resources([Managed("ledger", ledger)], drain=Drain(delay=float(os.environ["DRAIN_DELAY"])))
app = FastAPI(lifespan=resources.lifespan)
app.include_router(health.router(resources))


@app.get("/slow")
async def slow(seconds: float) -> dict[str, str]:
    print(f"slow {seconds:g} began", flush=True)
    await asyncio.sleep(seconds)
    return {"status": "done"}


@app.get("/stream")
async def stream(drain: CurrentDrain) -> StreamingResponse:
    async def ticks() -> AsyncIterator[bytes]:
        yield b"first\n"
        try:
            await asyncio.Event().wait()  # a source that never says anything again
        finally:
            print("source closed", flush=True)

    async def body() -> AsyncIterator[bytes]:
        async for tick in drain.until(ticks()):
            yield tick
        yield b"goodbye\n"

    return StreamingResponse(body())


@app.websocket("/socket")
async def socket(websocket: WebSocket, drain: CurrentDrain) -> None:
    await websocket.accept()
    async for text in drain.until(websocket.iter_text()):
        await websocket.send_text(text)
    await websocket.close(1001, "see you elsewhere")
