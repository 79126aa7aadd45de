"""Load over kept-alive connections from one event loop: enough to keep one worker busy, and nothing more."""

from __future__ import annotations

import asyncio


class _Connection(asyncio.Protocol):
    """Sends the same request again as soon as its answer is complete."""

    def __init__(self, request: bytes, budget: Budget) -> None:
        self._request = request
        self._budget = budget
        self._buffer = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._budget.take():
            self._transport.write(self._request)
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            self._budget.check(head)
            length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
            self._missing = length - (len(self._buffer) - end - 4)
            self._buffer = b""
        if self._missing == 0:
            self._budget.answered()
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._budget.lost(exc)


class Budget:
    """How many requests are left to send and to be answered; the first answer that is not 2xx ends the run."""

    def __init__(self, count: int) -> None:
        self._left = self._due = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> bool:
        self._left -= 1
        return self._left >= 0 and not self.done.done()

    def check(self, head: bytes) -> None:
        if not head.startswith(b"http/1.1 2"):
            self._fail(RuntimeError(f"the server answered {head[:300]!r}"))

    def answered(self) -> None:
        self._due -= 1
        if not self._due and not self.done.done():
            self.done.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if self._due and self._left > 0:
            self._fail(error or RuntimeError("the server closed a connection"))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def load(port: int, request: bytes, *, count: int, connections: int = 32) -> None:
    """Send `count` requests over `connections` connections, each waiting for its answer before it sends again.

    Raises:
        RuntimeError: an answer was not 2xx, or a connection broke.
        TimeoutError: the answers did not come within 60 seconds.
    """
    loop = asyncio.get_running_loop()
    budget = Budget(count)
    opened = [await loop.create_connection(lambda: _Connection(request, budget), "127.0.0.1", port) for _ in range(connections)]
    try:
        async with asyncio.timeout(60):
            await budget.done
    finally:
        for transport, _ in opened:
            transport.close()
