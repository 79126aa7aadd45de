"""Fails a test that leaves something open: tasks, threads, sockets and files."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

# Idle workers of thread pools that belong to the event loop, not to the code under test.
_POOLED = ("AnyIO worker thread", "asyncio_")
_DESCRIPTORS = Path("/dev/fd")


class LeakError(AssertionError):
    """Something that a block opened is still open."""


@asynccontextmanager
async def no_leaks(*, grace: float = 10.0) -> AsyncIterator[None]:
    """Raise `LeakError` if tasks, threads, sockets or files of the block outlive it: `async with no_leaks(): ...`.

    What is merely on its way to be closed has `grace` seconds, which only a leak uses up. A block that raises is not checked.
    """
    before = _open()
    yield
    deadline = asyncio.get_running_loop().time() + grace
    while leaked := {thing: name for thing, name in _open().items() if thing not in before}:
        if asyncio.get_running_loop().time() >= deadline:
            raise LeakError("still open: " + "; ".join(sorted(leaked.values())))
        gc.collect()
        await asyncio.sleep(0.01)


def _open() -> dict[object, str]:
    found: dict[object, str] = {task: f"task {task.get_name()} {task.get_coro()}" for task in asyncio.all_tasks()}
    for thread in threading.enumerate():
        if not thread.name.startswith(_POOLED):
            found[thread] = f"thread {thread.name}"
    for path in _DESCRIPTORS.iterdir() if _DESCRIPTORS.is_dir() else ():
        try:
            status = os.fstat(int(path.name))
        except OSError:  # the one that listed the directory
            continue
        # A number may be used again for another file.
        found[path.name, status.st_dev, status.st_ino] = f"descriptor {path.name} {_target(path)}"
    return found


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # not Linux: the number must do
        return ""
