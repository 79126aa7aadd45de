"""Tells a journey step by step and stops at the first that fails. It knows no step."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from fastness.tool.errors import FAILED, CommandError


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a journey.

    Attributes:
        name: one word; names the step when it fails.
        title: what happens, for people.
        seconds: its time limit.
        run: does and verifies it, and returns what was seen; raises when that is not what should be.
    """

    name: str
    title: str
    seconds: float
    run: Callable[[], str]


class MismatchError(Exception):
    """A step saw something else than it should have."""


def expect(condition: object, seen: str) -> None:
    """Raise MismatchError with what was `seen` unless the condition holds."""
    if not condition:
        raise MismatchError(seen)


def tell(steps: Sequence[Step]) -> None:
    """Run the steps in order, each within its time limit, and print what each saw.

    Raises:
        CommandError: a step failed; it names the step.
    """
    for number, step in enumerate(steps, start=1):
        started = time.monotonic()
        try:
            with time_limit(step.seconds):
                seen = step.run()
        except Exception as error:
            print(f"{number:>3}/{len(steps)}  FAILED  {step.title}", flush=True)
            plain = isinstance(error, MismatchError | TimeoutError | CommandError)
            reason = str(error) if plain else f"{type(error).__name__}: {error}"
            raise CommandError(f"demo step {step.name!r} failed: {reason}", code=FAILED) from error
        print(f"{number:>3}/{len(steps)}  {step.title}  ({time.monotonic() - started:.1f} s)", flush=True)
        for line in seen.splitlines():
            print(f"        {line}", flush=True)
        sys.stdout.flush()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread, whatever blocks it, after `seconds`."""

    def expired(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds:g} seconds")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
