"""When periodic jobs are due. Storing one only once, whatever the number of workers, is the engines' part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastness.jobs.task import Task

CATCH_UP = 600.0
"""Seconds after which a time that no worker was there for is left out."""


class Periodic:
    """A task that is enqueued by the clock: once for each time, whatever the number of workers.

    A time at which no worker runs is caught up with for ten minutes. Jobs of one `Periodic` do not overlap.

    Args:
        task: what is run.
        cron: five fields, in UTC: `0 3 * * *`. Either this or `every`.
        every: seconds, counted from the beginning of 1970: `every=3600` is on the hour.
        arguments: of the task.
        name: tells two of the same task apart; renaming it begins anew.

    Raises:
        ValueError: there is no time at which the task could be run, or the task does not take the arguments.
    """

    def __init__(
        self,
        *,
        task: Task[..., Any],
        cron: str | None = None,
        every: float | None = None,
        arguments: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        if (cron is None) == (every is None):
            raise ValueError(f"periodic {task.name}: give either cron or every")
        if every is not None and not 1 <= every < math.inf:
            raise ValueError(f"periodic {task.name}: {every=} is not a number of seconds from 1 up")
        if cron is not None and (len(cron.split()) != 5 or not _croniter().is_valid(cron)):
            raise ValueError(f"periodic {task.name}: {cron=} is not five fields of cron, such as '0 3 * * *'")
        self.task = task
        self.cron = cron
        self.every = every
        self.arguments = arguments or {}
        self.name = name
        task.dump(self.arguments)  # now, and not at three in the morning

    @property
    def key(self) -> str:
        """Names it where its times are remembered."""
        return f"{self.task.name}:{self.name}" if self.name else self.task.name

    def last(self, now: float) -> int:
        """The latest time, in seconds since 1970, that is not after `now`."""
        if self.every is not None:
            return int(now // self.every * self.every)
        return self._cron(now, ahead=False)

    def next(self, now: float) -> int:
        """The first time after `now`."""
        if self.every is not None:
            return math.ceil((now // self.every + 1) * self.every)
        return self._cron(now, ahead=True)

    def _cron(self, now: float, *, ahead: bool) -> int:
        # Whole seconds; the time that `now` falls on belongs to the past.
        times = _croniter()(self.cron, int(now) + (not ahead))
        return int(times.get_next(float) if ahead else times.get_prev(float))


def _croniter() -> Any:
    # Importing it takes as long as several modules of ours, and most services have no use for it.
    from croniter import croniter

    return croniter
