"""Extra CPU time per request, without a socket: uvicorn's own protocol class, a transport that discards, and the app.

The difference that is left between two variants is the app's alone, so the noise is a few percent where a benchmark over
loopback has tens. As in `bench.overhead`, 32 connections send at once; a lone one finds more of the code cold each time,
and pays alone for what the requests of one turn of the event loop share (`--connections 1`). A variant has a process to
itself, as in production: in a shared one the interpreter would specialise the code of FastAPI for several apps at once. A
process runs many short blocks and its figure is the least of them: each block does the same work, and whatever disturbs one
(another process, a cold cache, the clock rate) only ever adds to it. Processes of all variants take turns, and a variant's
figure is the median of its processes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from time import process_time
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bench.server import make
from bench.service import request

CONNECTIONS = 32  # as in `bench.overhead`; with one, what all requests of a turn share is paid by each
BLOCK = 160  # requests, some ten milliseconds
BLOCKS = 50
WARM_UP = 10


class _Sink(asyncio.Transport):
    """A connected transport that counts what it is given and throws it away."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)})
        self.last = b""
        self.keep = False
        self.closed = False

    def write(self, data: Any) -> None:
        if self.keep:
            self.last += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which feeds itself the next request as soon as a response is complete."""

    def run(self, raw: bytes, count: int) -> asyncio.Future[None]:
        self.raw, self.left, self.finished = raw, count, self.loop.create_future()
        self.loop.call_soon(self.data_received, raw)
        return self.finished

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.left -= 1
        if self.left:
            self.loop.call_soon(self.data_received, self.raw)
        else:
            self.finished.set_result(None)


class Clients:
    """Kept-alive connections to `app`, each with one request under way; its lifespan is open between `open` and `close`."""

    def __init__(self, app: Any) -> None:
        self._config = Config(app, access_log=False, log_level="warning", ws="none")
        self._config.load()
        self._sink = _Sink()
        self._protocols: list[_Protocol] = []

    async def open(self, connections: int) -> None:
        self._lifespan = self._config.lifespan_class(self._config)
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise RuntimeError("the app did not start")
        for _ in range(connections):
            protocol = _Protocol(self._config, ServerState(), self._lifespan.state, asyncio.get_running_loop())
            protocol.connection_made(self._sink)
            self._protocols.append(protocol)

    async def close(self) -> None:
        for protocol in self._protocols:
            protocol.connection_lost(None)
        await self._lifespan.shutdown()

    async def response(self, raw: bytes) -> bytes:
        """The bytes of one response, head and body."""
        self._sink.last, self._sink.keep = b"", True
        await self._protocols[0].run(raw, 1)
        self._sink.keep = False
        return self._sink.last

    async def cost(self, raw: bytes) -> float:
        """CPU seconds of this process for one request, the mean of a block."""
        gc.collect()  # nobody pays for the garbage of another variant
        each = -(-BLOCK // len(self._protocols))
        started = process_time()
        await asyncio.gather(*(protocol.run(raw, each) for protocol in self._protocols))
        return (process_time() - started) / (each * len(self._protocols))


def measure(variants: Mapping[str, str], *, method: str, processes: int, connections: int = CONNECTIONS) -> dict[str, float]:
    """Microseconds of CPU per request of each variant, given as what makes it (see `bench.server.make`)."""
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(processes):
        for name, factory in variants.items():
            samples[name].append(_measured(factory, method, connections))
    return {name: statistics.median(values) for name, values in samples.items()}


def _measured(factory: str, method: str, connections: int) -> float:
    reading, writing = os.pipe()
    with os.fdopen(reading) as answer:
        command = [sys.executable, "-m", "bench.inprocess", factory, method, str(connections), str(writing)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, pass_fds=[writing])
        os.close(writing)
        text = answer.read()
        if process.wait():
            raise RuntimeError(f"{factory} could not be measured; its output is above")
    return float(text)


async def least(app: Any, raw: bytes, *, connections: int = CONNECTIONS) -> float:
    """Microseconds of CPU per request in the least of many blocks."""
    clients = Clients(app)
    await clients.open(connections)
    answer = await clients.response(raw)
    if not answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")):
        raise RuntimeError(f"the app answered {answer[:200]!r}")
    for _ in range(WARM_UP):
        await clients.cost(raw)
    found = min([await clients.cost(raw) for _ in range(BLOCKS)])
    await clients.close()
    return found * 1e6


def main(factory: str, method: str, connections: int, answer: int) -> None:
    """Measure one variant in this process, and write the figure to the file descriptor `answer`."""
    app = make(factory)
    # The loop that uvicorn would choose, so uvloop where it is installed.
    with asyncio.Runner(loop_factory=Config("").get_loop_factory()) as runner:
        figure = runner.run(least(app, request(method), connections=connections))
    os.write(answer, str(figure).encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
