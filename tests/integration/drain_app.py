"""The service that the drain tests start in a process of its own: a held request, a stream, a WebSocket, readiness."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from fastness import health
from fastness.lifespan import CurrentDrain, Drain, Managed, Resources


def say(line: str) -> None:
    """Tell the test, in one write: with an unbuffered stdout, two workers that print at once tear each other's lines apart."""
    os.write(1, f"{line}\n".encode())


@asynccontextmanager
async def ledger() -> AsyncIterator[str]:
    say("ledger opened")
    yield "ledger"
    say("ledger closed")


resources = Resources([Managed("ledger", ledger)], drain=Drain(delay=float(os.environ["DRAIN_DELAY"])))
app = FastAPI(lifespan=resources.lifespan)
app.include_router(health.router(resources))


@app.get("/held")
async def held() -> dict[str, str]:
    """Answers when the test says so, by SIGUSR1: how long that takes is no matter of the machine's load."""
    released = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, released.set)
    say(f"held by {os.getpid()}")
    await released.wait()
    return {"status": "done"}


@app.get("/short")
async def short() -> dict[str, str]:
    await asyncio.sleep(0.02)
    return {"status": "done"}


@app.get("/stream")
async def stream(drain: CurrentDrain) -> StreamingResponse:
    async def ticks() -> AsyncIterator[bytes]:
        yield b"first\n"
        try:
            await asyncio.Event().wait()  # a source that never says anything again
        finally:
            say("source closed")

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
