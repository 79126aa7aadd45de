"""The demo's service: generated in a directory, run with `fastness dev`, stopped in any case. Nothing is verified here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from fastness.tool.errors import CommandError

_GRACE = 15  # seconds that `fastness dev` has to end its children
# The service runs with its own defaults, not with what the shell happens to hold for another one.
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")


class DemoService:
    """A service in `directory`; as a context manager it is stopped in any case.

    Attributes:
        directory: where it is generated.
        url: where it serves, once started.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = ""
        self._log = directory.parent / "service.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: int | None = None
        self._environment = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}

    def run(self, module: str, *arguments: str, cwd: Path | None = None) -> str:
        """Run a module to its end and return what it printed; raises CommandError when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd or self.directory,
            env={**self._environment, "ENVIRONMENT": "development"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise CommandError(f"{module} {' '.join(arguments)}: exit code {done.returncode}: {said[-1]}")
        return done.stdout

    def start(self) -> None:
        """Start `fastness dev` on a free port and wait until it serves; a step's time limit bounds the wait."""
        leash = [sys.executable, "-m", "fastness.tool.dev.leash"]
        reading, self._leash = os.pipe()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*leash, str(reading), str(_GRACE), "fastness.tool", "dev", "--port", "0", "--no-reload"],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[reading],
                start_new_session=True,
            )
        os.close(reading)
        while not (match := re.search(r"^dev +\| serving +(http://\S+)$", self.log(), re.MULTILINE)):
            if not self.running:
                raise CommandError(f"the service ended: {(self.log().splitlines() or ['it printed nothing'])[-1]}")
            time.sleep(0.05)
        self.url = match[1]

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """What the service has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def stop(self) -> int:
        """End it, and return its exit code."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_GRACE + 5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if self._leash is not None:
            os.close(self._leash)
        self._process = self._leash = None
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
