"""What clients were promised, after every process was killed many times: the reference service under load and SIGKILL.

Clients create events with a key and repeat each request until it is answered. Meanwhile server and worker are killed at random
moments, the server also by itself between commit and response (`bench.faulty`), and PostgreSQL's connections are cut and its
server is killed. At the end the database and the receiver are asked what became of everything that was acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2

from bench import relay
from bench.databases import Postgres, Sqlite, opened
from fastness.tool.demo.receiver import Receiver

CLIENTS = 8
PAUSE = 0.02  # seconds between two events of a client
LIFE = 1.5  # seconds at most from an acknowledged event to the next kill
IMPATIENCE = 0.2  # share of kills that wait for no event, and so may hit a process that is still starting
FAULTS = 0.01  # share of created events whose server dies before it answers
ANSWERED = 120.0  # seconds after the last kill, in which every client must have its answer and every delivery its end
ROOT = Path(__file__).parent.parent


@dataclass
class Tally:
    """What happened.

    Attributes:
        requests: requests that were sent, repetitions included.
        kills: processes that were killed, by what they were.
        acknowledged: the id of the event that each number was promised as.
        refused: answers that no client should get, with how often.
        unanswered: numbers whose client was still without an answer at the end.
    """

    requests: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[int, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: set[int] = field(default_factory=set)


def measure(*, database: str, kills: int) -> dict[str, Any]:
    """Kill that often, then count what was lost, duplicated or left behind."""
    with _place() as place, Receiver() as receiver, opened(database, place) as store:
        return asyncio.run(_Chaos(place / "relay", store, receiver, kills).run())


def failures(figures: dict[str, Any]) -> list[str]:
    """What must not be, one line each."""
    wrong = [f"{name} is {figures[name]}, none is wanted" for name in ("lost", "duplicated", "stuck") if figures[name]]
    wrong += [f"{count} answers were {answer}" for answer, count in figures["refused"].items()]
    return wrong if figures["acknowledged"] else [*wrong, "nothing was acknowledged, so nothing was shown"]


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        shutil.copytree(relay.TEMPLATE, Path(directory) / "relay", ignore=shutil.ignore_patterns("__pycache__", ".*", "*.db*"))
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user
        yield Path(directory)


class _Chaos:
    def __init__(self, service: Path, store: Sqlite | Postgres, receiver: Receiver, kills: int) -> None:
        self._service = service
        self._store = store
        self._receiver = receiver
        self._kills = kills
        self._tally = Tally()
        self._numbers = itertools.count()
        self._over = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._environment = relay.ENVIRONMENT | {
            "DATABASE_URL": store.url,
            "DELIVERY_TIME_LIMIT": "2",
            "DRAIN_DELAY": "0",
            "CHAOS_FAULTS": str(FAULTS),
            "PYTHONPATH": str(ROOT),
            "LOG_LEVEL": "CRITICAL",
        }

    async def run(self) -> dict[str, Any]:
        await asyncio.to_thread(self._migrate)
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server = ("-m", "uvicorn", "bench.faulty:app", "--fd", str(listener.fileno()), "--no-access-log")
            await stack.enter_async_context(self._kept("server", *server, "--log-level", "error", fds=[listener.fileno()]))
            await stack.enter_async_context(self._kept("worker", "-m", "fastness.tool", "worker", "--port", "0"))
            token = await asyncio.to_thread(self._token)
            client = httpx2.AsyncClient(base_url=url, timeout=10, headers={"authorization": f"Bearer {token}"})
            http = await stack.enter_async_context(client)
            await self._subscribe(http)
            clients = [asyncio.create_task(self._create(http)) for _ in range(CLIENTS)]
            await self._kill()
            self._over.set()
            _, late = await asyncio.wait(clients, timeout=ANSWERED)
            for task in late:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            await self._settle()
        return self._judge()

    def _migrate(self) -> None:
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, cwd=self._service, env=self._environment, check=True, capture_output=True)

    def _token(self) -> str:
        return relay.token(self._service, "endpoints:write", "events:write")

    @asynccontextmanager
    async def _kept(self, name: str, *command: str, fds: Iterable[int] = ()) -> AsyncIterator[None]:
        """A process that is started again whenever it ends."""

        async def keep() -> None:
            while True:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *command,
                    cwd=self._service,
                    env=self._environment,
                    pass_fds=list(fds),
                    stdout=sys.stderr,  # what is printed here is one JSON document
                )
                self._processes[name] = process
                if await process.wait() == -signal.SIGKILL:
                    self._tally.kills[name] += 1

        task = asyncio.create_task(keep())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(ProcessLookupError, KeyError):
                self._processes[name].kill()
                await self._processes[name].wait()

    async def _subscribe(self, http: httpx2.AsyncClient) -> None:
        body = {"url": self._receiver.url, "description": "chaos", "event_types": ["chaos.*"]}
        async with asyncio.timeout(ANSWERED):
            while True:
                with suppress(httpx2.HTTPError):
                    answer = await http.post("/v1/endpoints", json=body, headers={"idempotency-key": "chaos-endpoint"})
                    if answer.status_code == 201:
                        self._receiver.secret = answer.json()["secret"]
                        return
                await asyncio.sleep(0.2)

    async def _create(self, http: httpx2.AsyncClient) -> None:
        while not self._over.is_set():
            number = next(self._numbers)
            self._tally.unanswered.add(number)
            body, key = {"type": "chaos.made", "payload": {"number": number}}, str(uuid4())
            while True:
                self._tally.requests += 1
                with suppress(httpx2.HTTPError):
                    answer = await http.post("/v1/events", json=body, headers={"idempotency-key": key})
                    if answer.status_code == 201:
                        self._tally.acknowledged[number] = answer.json()["id"]
                        self._tally.unanswered.discard(number)
                        self._acknowledged.set()
                        break
                    if answer.status_code not in {409, 429, 503, 504}:
                        self._tally.refused[f"{answer.status_code} {answer.json().get('type')}"] += 1
                await asyncio.sleep(random.uniform(0.05, 0.3))
            await asyncio.sleep(PAUSE)

    async def _kill(self) -> None:
        victims = ["server"] * 5 + ["worker"] * 4 + list(self._store.attacks)
        while self._tally.kills.total() < self._kills:
            if random.random() > IMPATIENCE:
                await self._progress()
            await asyncio.sleep(random.uniform(0, LIFE))
            victim = random.choice(victims)
            if victim in self._store.attacks:
                await asyncio.to_thread(self._store.attacks[victim])
                self._tally.kills[victim] += 1
            else:
                with suppress(ProcessLookupError):
                    self._processes[victim].kill()  # counted when it has ended

    async def _progress(self) -> None:
        """Wait until another event was acknowledged: where nothing happens, nothing can be lost."""
        self._acknowledged.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._acknowledged.wait(), 20)

    async def _settle(self) -> None:
        """Wait until every delivery has come to its end, as long as that may take."""
        deadline = time.monotonic() + ANSWERED
        while time.monotonic() < deadline:
            pending = await asyncio.to_thread(self._store.rows, "SELECT count(*) FROM deliveries WHERE status = 'pending'")
            if not pending[0][0]:
                return
            await asyncio.sleep(0.5)

    def _judge(self) -> dict[str, Any]:
        tally = self._tally
        stored = [
            (UUID(str(id_)).hex, json.loads(payload)["number"])
            for id_, payload in self._store.rows("SELECT id, payload FROM events")
        ]
        there, times = set(stored), Counter(number for _, number in stored)
        promised = self._store.rows("SELECT event_id, count(*) FROM deliveries GROUP BY event_id")
        ended = dict(self._store.rows("SELECT status, count(*) FROM deliveries GROUP BY status"))
        effects = Counter(
            str(id_) for (id_,) in self._store.rows("SELECT delivery_id FROM attempts WHERE status_code BETWEEN 200 AND 299")
        )
        received = {delivery.content["data"]["number"] for delivery in self._receiver.deliveries}
        return {
            "database": type(self._store).__name__.lower(),
            "kills": tally.kills.total(),
            "killed": dict(tally.kills),
            "requests": tally.requests,
            "acknowledged": len(tally.acknowledged),
            "deliveries": len(self._receiver.deliveries),
            # By the id that its client was given: another one of the same number is not what was acknowledged.
            "lost": sum((id_.removeprefix("evt_"), number) not in there for number, id_ in tally.acknowledged.items())
            + sum(number not in received for number in tally.acknowledged),
            "duplicated": sum(count - 1 for count in times.values())
            + sum(count - 1 for _, count in promised)
            + sum(count - 1 for count in effects.values()),
            "stuck": len(tally.unanswered) + ended.get("pending", 0),
            "refused": dict(tally.refused),
        }
