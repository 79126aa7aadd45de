"""Runs one server for a test run, and ends it when the run has ended, however that came about. `_servers` starts it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from types import FrameType

from fastness._processes import is_alive


def main(owner: int, run: str, user: str, command: list[str]) -> int:
    """Run `command` (as `user` unless that is empty) until it ends, we are told to end, or process `owner` is gone.

    The directory `run` is the owner's to remove; if that is gone, it is removed here.
    """
    ended = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    server = subprocess.Popen(command, user=user or None)  # noqa: S603 - composed by `_servers`
    while server.poll() is None and not ended and is_alive(owner):
        time.sleep(0.1)
    # The fast shutdown of PostgreSQL, an ordinary one of Redis.
    server.send_signal(signal.SIGINT)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if not is_alive(owner):
        shutil.rmtree(run, ignore_errors=True)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
