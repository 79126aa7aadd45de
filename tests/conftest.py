"""Fixtures for every test."""

import asyncio
import gc
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import structlog

from fastness.telemetry import logs

# Everywhere as in CI: no time limit for an example, which a busy machine would miss, and the same examples in every run.
hypothesis.settings.load_profile("ci")

pytest_plugins = ["fastness.testing.services", "pytester"]


_DEPTH = sys.getrecursionlimit()


def pytest_runtest_teardown() -> None:
    """A command that ran in the process of its test leaves the interpreter as it found it."""
    gc.enable()
    sys.setrecursionlimit(_DEPTH)


def pytest_configure() -> None:
    """Let commands under test hear Ctrl-C: what a shell runs in the background inherits SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as processors: many tests wait, for the disk of a database or for processes. Redis has room for 15."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(processors * 3 // 2, 15)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The service runs on asyncio."""
    return "asyncio"


async def turn() -> None:
    """Let the loop run what was scheduled, and what that schedules."""
    for _ in range(5):
        await asyncio.sleep(0)


_LOGGERS = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "hypercorn.access",
    "gunicorn.access",
    "a",
    "fastness",
)


class Log:
    """What was written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().split("\n") if line]

    @property
    def last(self) -> dict[str, Any]:
        return self.entries[-1]


@pytest.fixture
def configure() -> Iterator[Callable[..., Log]]:
    """`logs.configure` with a stream to look at; what a test sets up is gone when the test is."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    state = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate) for name in _LOGGERS}

    def set_up(**options: Any) -> Log:
        log = Log()
        logs.configure(stream=log.stream, **options)
        return log

    yield set_up
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, (before, propagate) in state.items():
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = before, propagate
        logger.setLevel(logging.NOTSET)
    structlog.reset_defaults()
