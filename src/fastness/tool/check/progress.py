"""How far a long check is: one line on a terminal, which is gone at the end. Nothing where nobody looks, or waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[int, int], object]
"""Is told how many of how many pieces of work are done."""


def unseen(done: int, total: int) -> None:
    """Tells nobody."""


@contextmanager
def bar(*, files: int, wanted: bool) -> Iterator[Step]:
    """A progress bar on the terminal that standard error goes to.

    Args:
        files: that are read first, which takes about half of the time.
        wanted: the check is long enough for somebody to wait.
    """
    if not (wanted and sys.stderr.isatty()):
        yield unseen
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    # Drawn at each step only: a thread that draws would be missing in a second process.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as drawn:
        task = drawn.add_task(f"Reading {files} files", total=None)
        drawn.refresh()

        def step(done: int, total: int) -> None:
            drawn.update(task, description=f"Step {min(done + 1, total)} of {total}", completed=total + done, total=2 * total)
            drawn.refresh()

        yield step
