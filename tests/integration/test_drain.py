"""The drain under uvicorn, in a process of its own: SIGTERM while requests, streams and WebSockets are open."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import websockets

HERE = Path(__file__).parent
# Seconds after which something hangs; generous, because it costs nothing where nothing does.
PATIENCE = 90


class Service:
    """A service in a process of its own, and what it wrote."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self.process.pid

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                self.lines.append(line.decode().rstrip())
                self._news.notify_all()

    async def wrote(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """Wait until so many lines have matched, and give the first match."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = [match for line in self.lines if (match := re.search(pattern, line))]
            return len(found) >= times

        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(look)
        except TimeoutError:
            pytest.fail(f"{pattern!r} is not {times} times in:\n" + "\n".join(self.lines))
        return found[0]

    async def ended(self) -> int:
        """Wait for the end of the process and of what it writes."""
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
            await self._reader
        return status

    async def kill(self) -> None:
        """Leave nothing behind: neither the process, nor workers that have lost their parent."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.process.wait()
        await self._reader


Start = Callable[..., Awaitable[tuple[Service, str]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts the service and gives it with its URL; whatever is left at the end is killed."""
    services: list[Service] = []

    async def start(*options: str, delay: float, workers: int = 1) -> tuple[Service, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "drain_app:app", "--app-dir", str(HERE), "--port", "0"),
            # A worker that is slow because the machine is must not be replaced.
            *("--workers", str(workers), "--timeout-worker-healthcheck", str(PATIENCE), *options),
            env=os.environ | {"DRAIN_DELAY": str(delay)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        services.append(Service(process))
        listening = await services[-1].wrote(r"running on (http://127\.0\.0\.1:\d+)")
        await services[-1].wrote("startup complete", times=workers)
        return services[-1], listening[1]

    yield start
    for service in services:
        await service.kill()


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE) as made:
        yield made


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_nothing_fails_between_sigterm_and_the_end(start: Start, loop: str) -> None:
    """Readiness fails first, new requests are still served, the slow one and the stream end well, then resources close."""
    service, url = await start("--loop", loop, delay=3600)
    async with client(url) as http, http.stream("GET", "/stream") as stream:
        chunks = stream.aiter_bytes()
        assert await anext(chunks) == b"first\n"
        held = asyncio.create_task(http.get("/held"))
        await service.wrote("held by")
        assert (await http.get("/readyz")).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        await service.wrote("draining")

        unready = await http.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["detail"] == "The service is draining."
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/short")).status_code == 200

        service.process.send_signal(signal.SIGINT)  # the delay is over; another test lets it pass
        assert [chunk async for chunk in chunks] == [b"goodbye\n"]
        await service.wrote("Shutting down")
        assert not held.done()
        service.process.send_signal(signal.SIGUSR1)
        answer = await held
        assert (answer.status_code, answer.json()) == (200, {"status": "done"})
    assert await service.ended() == 0  # as uvicorn ends after Ctrl-C
    text = "\n".join(service.lines)
    order = ["ledger opened", "draining", "source closed", "GET /held", "ledger closed"]
    assert sorted(order, key=text.index) == order


async def test_no_request_of_a_client_that_watches_readiness_fails(start: Start) -> None:
    """A balancer that stops sending when readiness fails sees no failed request, however many it sends until then."""
    service, url = await start(delay=3600)
    outcomes: list[int] = []
    under_way = asyncio.Event()

    async with client(url) as http:

        async def send() -> None:
            while (await http.get("/readyz")).status_code == 200:
                outcomes.append((await http.get("/short")).status_code)
                if len(outcomes) > 20:
                    under_way.set()

        senders = [asyncio.create_task(send()) for _ in range(4)]
        async with asyncio.timeout(PATIENCE):
            await under_way.wait()
            service.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*senders)
    service.process.send_signal(signal.SIGINT)
    await service.ended()
    assert set(outcomes) == {200}


async def test_the_delay_passes_by_itself(start: Start) -> None:
    """One SIGTERM is enough: after the delay the service ends, by the signal that it was given."""
    service, _ = await start(delay=0.5)
    service.process.send_signal(signal.SIGTERM)
    assert await service.ended() == -signal.SIGTERM
    text = "\n".join(service.lines)
    order = ["ledger opened", "draining", "Shutting down", "ledger closed"]
    assert sorted(order, key=text.index) == order


async def test_websocket_is_closed_by_the_service(start: Start) -> None:
    """A WebSocket endpoint learns that the service ends, and says goodbye with a code of its own."""
    service, url = await start(delay=0.1)
    async with websockets.connect(url.replace("http", "ws") + "/socket", open_timeout=PATIENCE) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), PATIENCE)
        assert socket.close_code == 1001
    await service.ended()


async def test_second_signal_ends_the_delay_and_a_third_the_service(start: Start) -> None:
    """Signals after the first go on at once: to the shutdown, then to the end without waiting for requests."""
    service, url = await start(delay=3600)
    async with client(url) as http:
        held = asyncio.create_task(http.get("/held"))
        await service.wrote("held by")
        service.process.send_signal(signal.SIGTERM)
        await service.wrote("draining")
        service.process.send_signal(signal.SIGINT)
        await service.wrote("Shutting down")
        assert not held.done()
        service.process.send_signal(signal.SIGINT)
        await service.ended()  # although nobody has released the request
        with suppress(httpx2.HTTPError):
            assert (await held).status_code == 500


async def test_ctrl_c_ends_a_service_with_an_open_stream(start: Start) -> None:
    """In development Ctrl-C neither waits for a balancer nor hangs on a stream that would never end."""
    service, url = await start(delay=3600)
    async with client(url) as http, http.stream("GET", "/stream") as stream:
        chunks = stream.aiter_bytes()
        await anext(chunks)
        service.process.send_signal(signal.SIGINT)
        assert [chunk async for chunk in chunks] == [b"goodbye\n"]
    await service.ended()
    assert "ledger closed" in service.lines


async def test_every_worker_drains(start: Start) -> None:
    """With several workers a SIGTERM to the parent lets each of them end in order."""
    service, url = await start(delay=0.1, workers=2)
    async with client(url) as http:
        held = asyncio.create_task(http.get("/held"))
        worker = int((await service.wrote(r"held by (\d+)"))[1])
        service.process.send_signal(signal.SIGTERM)
        await service.wrote("draining", times=2)
        os.kill(worker, signal.SIGUSR1)
        assert (await held).status_code == 200
    await service.ended()
    assert service.lines.count("ledger closed") == service.lines.count("ledger opened") == 2
    assert len([line for line in service.lines if line.startswith("draining")]) == 2
