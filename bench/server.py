"""One variant on uvicorn, in a process of its own: `Server` starts it and asks how much CPU time it has used.

The process tells that itself (`time.process_time`, nanoseconds rather than the scheduler's ticks) over a socket pair, and
ends when the other end is closed, so that none outlives a bench that was killed.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


class Server:
    """A running variant.

    Args:
        factory: what makes the app, as `make` takes it.
    """

    def __init__(self, factory: str) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(60)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.server", factory, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            # Access lines go to /dev/null in every variant; what goes wrong is seen.
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
        )
        theirs.close()
        self._answers = self._control.makefile("r")
        first = self._answers.readline()
        if not first:
            raise RuntimeError(f"{factory} did not start; its output is above")
        self.port = int(first)

    def cpu(self) -> float:
        """Seconds of CPU time that the server's process has used since it started."""
        self._control.sendall(b"?")
        return float(self._answers.readline())

    def stop(self) -> None:
        self._control.close()
        self._answers.close()
        self._process.wait(30)


def make(factory: str) -> Any:
    """The app of a variant, from `module:function` or `module:function:argument`."""
    module, name, *argument = factory.split(":")
    return getattr(importlib.import_module(module), name)(*argument)


def _serve(factory: str, control: socket.socket) -> None:
    import uvicorn

    app = make(factory)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    config = uvicorn.Config(app, access_log=False, log_level="warning", ws="none", timeout_keep_alive=60)

    def answer() -> None:
        while control.recv(1):
            control.sendall(f"{time.process_time()}\n".encode())
        os.kill(os.getpid(), signal.SIGTERM)

    # Connections that come before the server accepts wait in the backlog.
    control.sendall(f"{listener.getsockname()[1]}\n".encode())
    threading.Thread(target=answer, daemon=True).start()
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
