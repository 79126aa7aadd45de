"""Another Python process, bounded in time and output, ended with everything that it started. What it runs is not known here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastness.tool.errors import CommandError

_KEPT = 65_536  # bytes, the last ones: a process may write for ever
_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code, negative after a signal; None when its time was up and it was killed.
        errors: the last of what it wrote to standard error; its standard output is not kept.
    """

    code: int | None
    errors: str


def run(command: Sequence[str], directory: Path, *, seconds: float, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command in a process group of its own, without input, and kill what is left of the group afterwards.

    A process that leaves the group (a daemon that calls `setsid`) is out of its reach.

    Args:
        seconds: that it may take.
        environment: variables beside those of this process.

    Raises:
        CommandError: it cannot be started.
    """
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=writing,
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        raise CommandError(f"{command[0]}: {error.strerror}") from None
    finally:
        os.close(writing)
    tail = bytearray()
    reader = threading.Thread(target=_drain, args=(reading, tail), daemon=True)
    reader.start()
    code: int | None = None
    try:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(seconds)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(_GRACE)  # a process that left the group may hold the pipe open for ever
    text = bytes(tail).decode(errors="replace")
    if os.environ.get("FASTNESS_DEBUG"):
        sys.stderr.write(text)
    return Ended(code, text)


def _drain(reading: int, tail: bytearray) -> None:
    with open(reading, "rb", buffering=0) as stream:
        while chunk := stream.read(_KEPT):
            tail += chunk
            del tail[:-_KEPT]


def named(python: str) -> str:
    """An interpreter that a person named: from here, not from the directory that it will run in."""
    return str(Path(python).absolute()) if os.sep in python else python


def interpreter(directory: Path) -> str:
    """The Python that has the project's dependencies: its `.venv` or `venv`, the active environment, else this one."""
    for root in (directory / ".venv", directory / "venv", Path(os.environ.get("VIRTUAL_ENV") or "/nonexistent")):
        found = root / "bin" / "python"
        if found.is_file():
            return str(found.absolute())
    return sys.executable
