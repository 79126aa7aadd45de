"""What clients notice of rolling restarts: two replicas of the reference service under load, in turn.

The balancer in between is ours and does what all do: it asks each replica for its readiness ten times a second, sends a
request to one that was ready at the last look, and repeats none, so that whatever a restart breaks is counted: without the
delay, ten requests each time. Some requests are long in the sending, so that they are under way when their replica stops to
listen. Both replicas share a PostgreSQL of their own. Everything is on this machine: what a network adds is not measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2

from bench import relay
from bench.databases import opened

REPLICAS = 2
DELAY = 2.0  # seconds for which a replica goes on accepting: many looks of the balancer
LOOK = 0.1  # seconds between two looks
CLIENTS = 6
SLOW_CLIENTS = 4
PAUSE = 0.01  # seconds between two requests of a client
SLOW = 3.0  # seconds that a slow request takes to send, more than the delay
STARTED = 60.0  # seconds within which a replica must be ready, and in which it must end


def measure(*, restarts: int) -> dict[str, Any]:
    """Restart so often, one replica at a time, and count the requests that failed."""
    with tempfile.TemporaryDirectory(prefix="drain-") as directory:
        place = Path(directory)
        place.chmod(0o755)  # PostgreSQL runs as another user
        with opened("postgres", place) as store, relay.migrated(store.url) as service:
            token = relay.token(service, "events:write", "events:read")
            return asyncio.run(_Rollout(service, store.url, token, restarts).run())


def failures(figures: dict[str, Any]) -> list[str]:
    """What must not be, one line each."""
    wrong = [f"{count} requests failed: {what}" for what, count in figures["failures"].items()]
    if not figures["under_way"]:
        wrong.append("no request was under way when its replica was told to end, so nothing was shown")
    return wrong


class _Replica:
    """One server process after the other, on one port.

    Attributes:
        http: its clients' connections, kept open as a balancer does.
        ready: at the last look.
        under_way: requests that wait for their answer.
    """

    def __init__(self, service: Path, database: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._service = service
        self._environment = relay.ENVIRONMENT | {"DATABASE_URL": database, "DRAIN_DELAY": str(DELAY), "LOG_LEVEL": "ERROR"}
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=30)
        self.ready = asyncio.Event()
        self.under_way = 0

    async def start(self) -> None:
        """Return once the balancer has seen it ready."""
        command = ("-m", "uvicorn", "app.main:app", "--port", str(self._port), "--no-access-log", "--log-level", "error")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--timeout-graceful-shutdown",
            "20",
            cwd=self._service,
            env=self._environment,
            stdout=sys.stderr,  # what is printed here is one JSON document
        )
        async with asyncio.timeout(STARTED):
            await self.ready.wait()

    async def end(self) -> None:
        """As a platform does: SIGTERM, and time."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STARTED):
            await self._process.wait()

    async def watch(self) -> None:
        """Look, for ever. Each look is a connection of its own."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=1, headers={"connection": "close"}) as http:
            while True:
                try:
                    ready = (await http.get("/readyz")).status_code == 200
                except httpx2.HTTPError:
                    ready = False
                self.ready.set() if ready else self.ready.clear()
                await asyncio.sleep(LOOK)

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.http.aclose()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class _Rollout:
    def __init__(self, service: Path, database: str, token: str, restarts: int) -> None:
        self._replicas = [_Replica(service, database) for _ in range(REPLICAS)]
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._restarts = restarts
        self._turn = itertools.count()
        self._over = False
        self._requests = 0
        self._under_way = 0
        self._failures: Counter[str] = Counter()

    async def run(self) -> dict[str, Any]:
        async with AsyncExitStack() as stack:
            tasks = []
            for replica in self._replicas:
                stack.push_async_callback(replica.close)
                tasks.append(asyncio.create_task(replica.watch()))
            for replica in self._replicas:
                await replica.start()
            slow = [True] * SLOW_CLIENTS + [False] * CLIENTS
            clients = [asyncio.create_task(self._client(slow=each)) for each in slow]
            for number in range(self._restarts):
                replica = self._replicas[number % REPLICAS]
                await asyncio.sleep(0.5)  # the other one is in use again
                self._under_way += replica.under_way
                await replica.end()
                replica.ready.clear()
                await replica.start()
            self._over = True
            await asyncio.gather(*clients)
            for task in tasks:
                task.cancel()
        return {
            "restarts": self._restarts,
            "replicas": REPLICAS,
            "requests": self._requests,
            "under_way": self._under_way,
            "failed": self._failures.total(),
            "failures": dict(self._failures),
        }

    async def _client(self, *, slow: bool) -> None:
        while not self._over:
            replica = await self._choose()
            self._requests += 1
            replica.under_way += 1
            try:
                answer = await self._send(replica.http, self._requests, slow=slow)
                if answer.status_code not in {200, 201}:
                    self._failures[f"status {answer.status_code}"] += 1
            except httpx2.HTTPError as error:
                self._failures[type(error).__name__] += 1
            finally:
                replica.under_way -= 1
            await asyncio.sleep(PAUSE)

    async def _send(self, http: httpx2.AsyncClient, number: int, *, slow: bool) -> httpx2.Response:
        """One request: three of four read, except for those that are slow."""
        if number % 4 and not slow:
            return await http.get("/v1/events?limit=5", headers=self._headers)
        body = json.dumps({"type": "drain.made", "payload": {"number": number}}).encode()
        return await http.post("/v1/events", content=_slowly(body) if slow else body, headers=self._headers)

    async def _choose(self) -> _Replica:
        while True:
            for _ in self._replicas:
                replica = self._replicas[next(self._turn) % REPLICAS]
                if replica.ready.is_set():
                    return replica
            await asyncio.sleep(LOOK)


async def _slowly(body: bytes) -> AsyncIterator[bytes]:
    """A body that takes its time, as from a phone."""
    for part in (body[:10], body[10:20], body[20:]):
        yield part
        await asyncio.sleep(SLOW / 3)
