"""A clock that stands still until a test moves it."""

from __future__ import annotations


class ManualClock:
    """Give it where a clock is taken (`time.monotonic`): calling it gives its seconds."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self.now += seconds
