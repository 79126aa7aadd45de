"""A small service to run, and processes that end with their test."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Lets CI run apart what takes minutes: `-m generated`, `-m "not generated"`."""
    config.addinivalue_line("markers", "generated: runs the tests of whole generated services")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first: begun last, it would be waited for. Each worker starts with an equal slice of all."""
    longest = [item for item in items if item.get_closest_marker("generated")]
    others = [item for item in items if item not in longest]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slices = [longest[worker::workers] for worker in range(workers)]
    shares = [others[len(others) * worker // workers : len(others) * (worker + 1) // workers] for worker in range(workers)]
    items[:] = [item for slice_, share in zip(slices, shares, strict=True) for item in (*slice_, *share)]


MAIN = """\
import os
from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/client")
def client(request: Request) -> str:
    return request.client.host

@app.get("/readyz")
def readyz() -> dict[str, int]:
    return {"pid": os.getpid()}


GENERATION = 1


@app.get("/generation")
def generation() -> int:
    return GENERATION
"""

WORKER = """\
import asyncio, os
from fastness.lifespan import Resources

GRACE = 0


class Worker:
    name = "worker"

    async def open(self):
        print("worker is", os.getpid())

    async def check(self): ...

    async def close(self):
        await asyncio.sleep(GRACE)
        print("worker stops")


resources = Resources([Worker()], close_timeout=600)
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service in the layout of the template: one endpoint, one worker, no database."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").touch()
    (tmp_path / "app/main.py").write_text(MAIN)
    (tmp_path / "app/worker.py").write_text(WORKER)
    return tmp_path


# Seconds after which something hangs; generous, because it costs nothing where nothing does.
PATIENCE = 120


class Running:
    """A `fastness` command that runs, and what it has printed so far."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        self._file = (cwd / "output.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastness.tool", *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return Path(self._file.name).read_text()

    def until(self, done: Callable[[str], object], *, seconds: float = PATIENCE) -> str:
        """The output once `done` accepts it; fails when the command ends first, or does not come so far."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            ended = self.process.poll() is not None
            output = self.output
            if done(output):
                return output
            if ended:
                break
            time.sleep(0.05)
        pytest.fail(f"not seen in:\n{self.output}")

    def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = PATIENCE) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.ended(seconds=seconds)

    def ended(self, *, seconds: float = PATIENCE) -> int:
        """The exit code, once it ends by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it has not ended; it printed:\n{self.output}")

    def close(self) -> None:
        """Leave nothing behind, whatever the test found."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts `fastness` commands that are ended with the test."""
    running: list[Running] = []

    def starting(*arguments: str, cwd: Path, **environment: str) -> Running:
        running.append(Running(*arguments, cwd=cwd, **environment))
        return running[-1]

    yield starting
    for command in running:
        command.close()


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which something listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def alive(pid: int) -> bool:
    """A process with this id runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(*pids: int, seconds: float = PATIENCE) -> bool:
    """All these processes have ended, or do within the time."""
    limit = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another one has kept, or leaves something in the home directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
