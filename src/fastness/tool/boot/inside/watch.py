"""Watches an event loop from outside: which line of which file keeps it from everything else, and for how long."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import Any

_BEAT = 0.01


class Watch:
    """A heart that beats on the loop, and a thread that looks at the loop's stack while the beat is missing.

    Args:
        seconds: that the loop may be busy without it being a stall.
    """

    def __init__(self, *, seconds: float) -> None:
        self.seconds = seconds
        self.reset()
        self._done = threading.Event()
        self._thread = threading.get_ident()
        self._timer: Any = None

    async def __aenter__(self) -> Watch:
        self._beat()
        threading.Thread(target=self._look, name="fastness-watch", daemon=True).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._done.set()
        if self._timer is not None:
            self._timer.cancel()

    def reset(self) -> None:
        """Forget what was seen; called on the loop, so it is a beat too."""
        self._last = time.monotonic()
        self._held = 0.0
        self._longest = 0.0
        self._samples = 0
        self._stack: list[tuple[str, int, str]] = []

    @property
    def held(self) -> bool:
        """Whether the loop was busy for that long since the reset; asked on the loop, which knows even if nobody looked."""
        return max(self._held, time.monotonic() - self._last) >= self.seconds

    @property
    def stall(self) -> tuple[float, list[tuple[str, int, str]]] | None:
        """Seconds and stack of the longest stall since the reset, outermost frame first; None when the loop was free."""
        # Seen twice at least: a process that gets no processor looks stalled once.
        return (self._longest, self._stack) if self._samples > 1 else None

    def _beat(self) -> None:
        now = time.monotonic()
        self._held = max(self._held, now - self._last)
        self._last = now
        self._timer = asyncio.get_running_loop().call_later(_BEAT, self._beat)

    def _look(self) -> None:
        while not self._done.wait(_BEAT * 2):
            late = time.monotonic() - self._last
            if late < self.seconds:
                continue
            stack = _frames(sys._current_frames().get(self._thread))
            if stack and os.path.basename(stack[-1][0]) == "selectors.py":
                continue  # it waits for something to do: the stall is just over, or the process got no processor
            self._samples += 1
            if late > self._longest:
                self._longest, self._stack = late, stack


def _frames(frame: Any) -> list[tuple[str, int, str]]:
    found = []
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno, getattr(frame.f_code, "co_qualname", frame.f_code.co_name)))
        frame = frame.f_back
    return found[::-1]
