"""`fastness worker`: the process around a worker. Its resources live in the lifespan of a small app that says how it is.

The app has `/livez`, `/readyz`, `/startupz`, `/version` and `/metrics`, on a port of its own, served by uvicorn.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from fastness import health
from fastness.lifespan import CloseError, Resources, StartupError
from fastness.telemetry import metrics
from fastness.tool.errors import FAILED, OK, CommandError
from fastness.tool.jobs.target import load

# Process managers signal the group, and the parent its children: one intent, told twice.
_SAME_INTENT = 1.0


def run(target: str | None, *, host: str, port: int) -> int:
    """Run jobs until a signal comes: the first lets them end within the worker's grace, the second ends the process at once.

    Raises:
        CommandError: something that the worker needs did not open.
    """
    resources = load(target)
    failures: list[Exception] = []
    configured = bool(logging.getLogger().handlers)
    config = uvicorn.Config(
        make_app(resources, failures),
        host=host,
        port=port,
        lifespan="on",
        access_log=False,
        server_header=False,
        # The service has said how it logs; where it has not, warnings of ours are to be seen all the same.
        log_config=None if configured else uvicorn.config.LOGGING_CONFIG,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    try:
        server.run()
    except SystemExit as end:
        if not failures and end.code:
            raise CommandError(f"nothing can listen on {host}:{port}: choose another --port") from None
    if failures:
        raise CommandError(str(failures[0]), code=FAILED) from failures[0]
    return OK


def make_app(resources: Resources, failures: list[Exception]) -> FastAPI:
    """The app; what went wrong with the resources is added to `failures`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        try:
            async with resources.lifespan(app) as state:
                yield state
        except* (StartupError, CloseError) as group:
            failures.extend(error for error in group.exceptions if isinstance(error, StartupError | CloseError))
            raise

    app = FastAPI(title="worker", lifespan=lifespan, openapi_url=None)
    app.include_router(health.router(resources))
    app.include_router(metrics.router())
    return app


class _Server(uvicorn.Server):
    _told_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a signal handler
        now = monotonic()
        if self._told_at is None:
            self._told_at = now
            self.should_exit = True
        elif sig == signal.SIGINT or now - self._told_at > _SAME_INTENT:
            # Without a word to the database: this worker's jobs are found as those of any that died.
            os._exit(128 + sig)
