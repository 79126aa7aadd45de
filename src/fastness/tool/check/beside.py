"""Work that a second process does at the same time.

The process is a fork, so that it has everything that this one has read, and only its result is handed over. Where the system
cannot fork safely, the work is done here, when its result is asked for: slower, and the same.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

from fastness.tool.errors import CommandError

_T = TypeVar("_T")


def possible() -> bool:
    """A process can be forked, and two can run at once. Threads would be missing in the fork, so none may be there."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


class Beside(Generic[_T]):
    """One piece of work, begun at once. A context manager: leaving it ends the process.

    Args:
        work: must give something that can be pickled, and print nothing.
        apart: in a process of its own.
    """

    def __init__(self, work: Callable[[], _T], *, apart: bool) -> None:
        self._work = work
        self._pid, self._pipe = _fork(work) if apart else (0, -1)

    def result(self) -> _T:
        """What the work gave.

        Raises:
            CommandError: its process died.
        """
        if not self._pid:
            return self._work()
        with os.fdopen(self._pipe, "rb") as pipe:
            self._pipe = -1
            told = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if status:
            code = os.waitstatus_to_exitcode(status)
            how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with {code}"
            raise CommandError(f"the second process of the check {how}: try --jobs 1, and report it if that works")
        found: _T = pickle.loads(told)  # noqa: S301 - from our own fork, through a pipe that nobody else has
        return found

    def __enter__(self) -> Beside[_T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def shared(tasks: Sequence[Callable[[], _T]], *, apart: bool, taken: Callable[[int], object]) -> list[_T]:
    """What each of some pieces of work gives, in their order.

    Args:
        tasks: must give what can be pickled, the same in whichever order they are done.
        apart: with a second process, which begins at the end: each of the two takes the next piece when it is done with one.
        taken: is told how many pieces this process has begun.
    """
    if not apart:
        return [_begun(task, number, taken) for number, task in enumerate(tasks)]
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as tokens:
        with os.fdopen(writing, "wb") as end:
            end.write(bytes(len(tasks)))  # one for each piece: what is in a pipe is read by one process

        def work(numbers: Iterable[int], told: Callable[[int], object]) -> dict[int, _T]:
            return {number: _begun(tasks[number], done, told) for done, number in enumerate(numbers) if tokens.read(1)}

        with Beside(lambda: work(reversed(range(len(tasks))), _silent), apart=True) as other:
            done = work(range(len(tasks)), taken)
            done.update(other.result())
    return [done[number] for number in range(len(tasks))]


def _begun(task: Callable[[], _T], number: int, taken: Callable[[int], object]) -> _T:
    taken(number)
    return task()


def _silent(_: int) -> None:
    """A second process has no say on the terminal."""


def _fork(work: Callable[[], object]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(work(), pipe, protocol=pickle.HIGHEST_PROTOCOL)
    except BaseException:  # noqa: BLE001 - the parent is told by the exit code; nothing of its own may run here
        os._exit(1)
    os._exit(0)
