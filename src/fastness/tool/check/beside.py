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
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

from fastness.tool.errors import CommandError

_T = TypeVar("_T")
_NUMBER = 2  # bytes; a pipe holds some 30,000 of them


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


class Shared(Generic[_T]):
    """Work in pieces, of which each of several processes takes the next that nobody has taken. A context manager.

    Args:
        pieces: must give what can be pickled, the same in whichever order and process they are done.
    """

    def __init__(self, pieces: Sequence[Callable[[], _T]]) -> None:
        self._pieces = pieces
        # What is in a pipe is read by one process: here the numbers of the pieces.
        self._left, numbers = os.pipe()
        os.write(numbers, b"".join(number.to_bytes(_NUMBER) for number in range(len(pieces))))
        os.close(numbers)

    def work(self, taken: Callable[[int], object] = lambda _: None) -> list[_T]:
        """Take pieces until none is left; what each gave.

        Args:
            taken: is told the number of each piece when it is begun.
        """
        done = []
        while number := os.read(self._left, _NUMBER):
            position = int.from_bytes(number)
            taken(position)
            done.append(self._pieces[position]())
        return done

    def withdrawn(self) -> list[Callable[[], _T]]:
        """The pieces that nobody has begun; nobody will."""
        found = []
        while number := os.read(self._left, _NUMBER):
            found.append(self._pieces[int.from_bytes(number)])
        return found

    def __enter__(self) -> Shared[_T]:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._left)


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
