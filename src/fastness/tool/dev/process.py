"""One child process of `fastness dev`: on a leash, its output prefixed, ended within a grace. It decides nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from fastness.tool.dev.settings import environment

_WIDTH = 7


class Output:
    """Writes whole lines, each with the name of its process before it, in colour on a terminal."""

    _COLOURS = ("36", "35", "33", "32")

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._names: dict[str, str] = {}

    def line(self, name: str, text: str) -> None:
        """Write one line of `name`."""
        prefix = self._names.get(name)
        if prefix is None:
            prefix = f"{name:<{_WIDTH}} |"
            if self.colours:
                prefix = f"\033[{self._COLOURS[len(self._names) % len(self._COLOURS)]}m{prefix}\033[0m"
            self._names[name] = prefix
        print(f"{prefix} {text}", flush=True)


class Child:
    """A Python module that runs as a process of its own.

    Attributes:
        name: shown before each of its lines.

    Args:
        module: what runs, as with `python -m`.
        arguments: its command line.
        output: where its lines go.
        grace: seconds between SIGTERM and SIGKILL.
        pass_fds: descriptors that it inherits.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        output: Output,
        grace: int,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._command = [module, *arguments]
        self._output = output
        self._grace = grace
        self._pass_fds = tuple(pass_fds)
        self._process: asyncio.subprocess.Process | None = None
        self._copying: asyncio.Task[None] | None = None
        self._leash: int | None = None

    async def start(self) -> None:
        """Start the process, in the current directory and with this interpreter."""
        reading, self._leash = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "fastness.tool.dev.leash",
                str(reading),
                str(self._grace),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment(),
                pass_fds=(reading, *self._pass_fds),
                start_new_session=True,  # Ctrl-C reaches `fastness dev` alone, which ends its children in order
            )
        finally:
            os.close(reading)
        self._copying = asyncio.create_task(self._copy())

    async def wait(self) -> int:
        """The exit code once the process has ended, as a shell gives it: 128 + N after signal N."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    async def stop(self) -> None:
        """End the process and all it started: SIGTERM, and SIGKILL after the grace."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self._grace)
        self.kill()  # what it left behind, and itself if it ignored the request
        await process.wait()
        if self._copying is not None:
            # A process that left the group may hold the pipe open for ever.
            await asyncio.wait([self._copying], timeout=1)
            self._copying.cancel()
        if self._leash is not None:
            os.close(self._leash)
        self._process = self._copying = self._leash = None

    def kill(self) -> None:
        """SIGKILL to the process and all it started, at once."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _copy(self) -> None:
        stream = self._process.stdout if self._process is not None else None
        if stream is None:
            return
        rest = b""
        while chunk := await stream.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._output.line(self.name, line.decode(errors="replace").rstrip("\r"))
        if rest:
            self._output.line(self.name, rest.decode(errors="replace"))
