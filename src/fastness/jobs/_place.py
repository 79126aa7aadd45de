"""The worker's place beside a SQLite file: one process has it, and whoever enqueues can wake that one. It reads no jobs."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fastness.jobs.model import JobError

logger = logging.getLogger("fastness.jobs")

_JOB, _CANCEL = b"j", b"c"


class WorkerPlace:
    """A lock on `<database>.worker`, which the kernel drops with its process, and the named pipe `<database>.wake`.

    Args:
        database: the file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock_file = database.with_name(f"{database.name}.worker")
        self._pipe_file = database.with_name(f"{database.name}.wake")
        self._lock: int | None = None
        self._pipe: int | None = None
        self._told = False

    def take(self, wake: Callable[[], None], cancelled: Callable[[], None]) -> None:
        """Become the worker. `wake` is called when there may be a job, `cancelled` when one is to end.

        Raises:
            JobError: another process is the worker.
        """
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            self._pipe = self._open_pipe(wake, cancelled)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise JobError(
                f"another worker (process {holder}) runs the jobs of {self._database}: with SQLite there is one at a time. "
                "End it first, or move to PostgreSQL for more"
            ) from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def leave(self) -> None:
        """Let another process be the worker."""
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
        if self._lock is not None:
            os.close(self._lock)
        self._pipe = self._lock = None

    def notify(self, *, cancelled: bool) -> None:
        """Wake the worker, if there is one. Without, it sees what there is some seconds later."""
        try:
            pipe = os.open(self._pipe_file, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.ENOENT) and not self._told:  # nobody reads; there never was a worker
                self._told = True
                logger.warning("the worker cannot be woken, and looks every few seconds instead: %s", error)
            return
        try:
            if stat.S_ISFIFO(os.fstat(pipe).st_mode):
                with suppress(BlockingIOError):  # full: the worker has yet to read what woke it
                    os.write(pipe, _CANCEL if cancelled else _JOB)
        finally:
            os.close(pipe)

    def _open_pipe(self, wake: Callable[[], None], cancelled: Callable[[], None]) -> int:
        with suppress(FileExistsError):
            os.mkfifo(self._pipe_file, 0o600)
        # Also open for writing: without any writer it would always be readable, with nothing in it.
        pipe = os.open(self._pipe_file, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.close(pipe)
            raise JobError(f"{self._pipe_file} is not the named pipe that wakes the worker: remove it")

        def read() -> None:
            with suppress(BlockingIOError):
                if _CANCEL in os.read(pipe, 65_536):
                    cancelled()
            wake()

        asyncio.get_running_loop().add_reader(pipe, read)
        return pipe
