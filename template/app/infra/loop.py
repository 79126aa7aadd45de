"""Runs work again and again as long as the service lives. What the work is belongs to `app.domain.services`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


_LONGEST_PAUSE = 30.0


class Loop:
    """Calls `run_once` until it finds nothing, waits, and calls it again: a resource of the service.

    An error is logged, and the work is tried again after a wait that grows while errors repeat: a database that is away must
    neither end the worker nor fill the log.

    Args:
        name: names the resource.
        run_once: does what there is to do; returns how much that was.
        idle: seconds to wait when there was nothing.
    """

    def __init__(self, name: str, run_once: Callable[[], Awaitable[int]], *, idle: float) -> None:
        self.name = name
        self._run_once = run_once
        self._idle = idle
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin."""
        self._stop.clear()
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def check(self) -> None:
        """Raises when the loop has ended."""
        if self._task is None or self._task.done():
            raise RuntimeError(f"the loop {self.name!r} does not run")

    async def close(self) -> None:
        """Let what is under way end, unless it is cancelled."""
        self._stop.set()
        task, self._task = self._task, None
        if task is not None:
            try:
                await asyncio.shield(task)
            finally:
                task.cancel()

    async def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            pause = self._idle
            try:
                done = await self._run_once()
                failures = 0
            except Exception:
                failures += 1
                pause = min(self._idle * 2 ** min(failures - 1, 10), max(self._idle, _LONGEST_PAUSE))
                logger.exception("%s failed; trying again in %g s", self.name, pause)
                done = 0
            if not done:
                try:
                    await asyncio.wait_for(self._stop.wait(), pause)
                except TimeoutError:
                    continue
