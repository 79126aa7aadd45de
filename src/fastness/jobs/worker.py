"""The worker: takes jobs, runs them side by side, and stores what came of them. A resource of the service or of a process.

The same loop works on either database. Where jobs are kept is the engines' part, running one is `execution`'s, and the
process around it is `fastness worker`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Literal, NamedTuple

from opentelemetry.trace import TracerProvider

from fastness import _tasks
from fastness.jobs.execution import Executor
from fastness.jobs.metrics import Metrics
from fastness.jobs.model import Claim, Contended, JobError, JobState, Retention, Settlement
from fastness.jobs.periodic import CATCH_UP
from fastness.jobs.resource import Jobs

logger = logging.getLogger("fastness.jobs")

_PRUNE_BATCH = 1000
_LONGEST_PAUSE = 15.0
_LAST_LOOK = 2.0
_UNWILLING = 5.0
"""Seconds that a task may take to end once it is cancelled; then it is left behind."""


class Intervals(NamedTuple):
    """How often a worker does what nobody tells it to, in seconds.

    Attributes:
        poll: looks for jobs, in case a notification was lost.
        beat: says that it lives, and looks for jobs of workers that do not.
        dead_after: a worker that has said nothing for so long is taken for dead; the same for all workers of a database.
        sample: measures the queues.
        prune: deletes what has ended long ago.
    """

    poll: float = 5.0
    beat: float = 10.0
    dead_after: float = 30.0
    sample: float = 15.0
    prune: float = 300.0


class _Running:
    __slots__ = ("claim", "ended_by", "settling", "started_at", "task")

    def __init__(self, claim: Claim, started_at: float) -> None:
        self.claim = claim
        self.started_at = started_at
        self.task: asyncio.Task[Settlement] | None = None
        self.ended_by: Literal["cancel", "stop"] | None = None
        self.settling = False


class Worker:
    """Runs jobs as long as it is open. A `fastness.lifespan.Resource`: put it after everything that tasks use.

    Closing it takes no new jobs, gives those that run `grace` seconds, then cancels them and hands them back to the queue,
    with the attempt counted. What a worker that was killed had is found by the others and queued again; a job whose worker
    dies for the third time ends as failed.

    Args:
        jobs: what to run.
        provide: values for the tasks' `Injected` parameters, by what these are annotated with. The `Database` and the `Jobs`
            are there already.
        concurrency: jobs at the same time.
        queues: the queues to take from; None for all.
        grace: seconds for running jobs when it closes. `Resources(close_timeout=...)` must be longer by some seconds.
        crashes: deaths of workers after which a job fails.
        retention: how long ended jobs are kept.
        intervals: see there.
        tracer_provider: makes the spans of attempts; by default the process's own.
        name: names the resource.

    Raises:
        ValueError: an option is out of range.
        JobError: a task wants something that is not provided.
    """

    def __init__(
        self,
        jobs: Jobs,
        *,
        provide: Mapping[Any, object] | None = None,
        concurrency: int = 10,
        queues: Sequence[str] | None = None,
        grace: float = 20.0,
        crashes: int = 3,
        retention: Retention | None = None,
        intervals: Intervals | None = None,
        tracer_provider: TracerProvider | None = None,
        name: str = "worker",
    ) -> None:
        if concurrency < 1 or crashes < 1 or not 0 <= grace < math.inf:
            raise ValueError(f"worker: {concurrency=}, {crashes=} and {grace=} must be at least 1, 1 and 0")
        retention, intervals = retention or Retention(), intervals or Intervals()
        if min(retention) < 0:
            raise ValueError(f"worker: {retention} has a negative number of seconds")
        if min(intervals) <= 0 or intervals.dead_after < 2 * intervals.beat:
            raise ValueError(f"worker: {intervals} needs positive seconds, and dead_after at least twice beat")
        self.name = name
        self.grace = grace
        self._jobs = jobs
        self._engine = jobs.engine
        self._executor = Executor(jobs, provide or {}, tracer_provider=tracer_provider)
        self._concurrency = concurrency
        self._queues = None if queues is None else tuple(queues)
        self._crashes = crashes
        self._retention = retention
        self._every = intervals
        self._metrics = Metrics()
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._reset()

    def _reset(self) -> None:
        self._running: dict[int, _Running] = {}
        self._settlements: asyncio.Queue[tuple[_Running, Settlement]] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._cancelled = asyncio.Event()
        self._freed = asyncio.Event()
        self._ticked: dict[str, int] = {}
        self._held_up = False
        self._stopping = False
        self._trouble: str | None = "it has not looked for jobs yet"

    async def open(self) -> None:
        """Begin. A database that is away is waited for; readiness says so meanwhile.

        Raises:
            JobError: another worker is at work, where there can be only one.
        """
        self._reset()  # what waits belongs to one event loop
        await self._engine.start(self._wake.set, self._cancelled.set)
        every = self._every
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("settle", self._settle),
            ("rescue", partial(self._repeat, every.beat, self.rescue_once)),
            ("cancel", self._cancel),
            ("sample", partial(self._repeat, every.sample, self.sample_once)),
            ("prune", partial(self._repeat, every.prune, self.prune_once)),
            ("claim", self._claim),
        ]
        if self._jobs.periodic:
            steps.append(("periodic", self._tick))
        self._loops = {
            what: asyncio.create_task(self._steadily(what, step), name=f"{self.name}: {what}") for what, step in steps
        }

    async def check(self) -> None:
        """Raises when it cannot reach its jobs."""
        if self._trouble is not None:
            raise JobError(f"worker: {self._trouble}")

    async def close(self) -> None:
        """Let running jobs end within the grace, and hand back the rest."""
        if not self._loops:
            return
        loops, self._loops = self._loops, {}
        try:
            self._stopping = True
            self._wake.set()
            self._freed.set()
            # Not cancelled while it asks: what it was just given would be lost, and found later like the work of a dead worker.
            await asyncio.wait({loops["claim"]}, timeout=_LAST_LOOK)
            await _tasks.end(loops["claim"])
            await self._finish(self.grace)
        finally:
            await asyncio.shield(self._shut(list(loops.values())))

    async def _shut(self, loops: list[asyncio.Task[None]]) -> None:
        for running in list(self._running.values()):
            self._interrupt(running, "stop")
        await self._finish(_UNWILLING)
        await _tasks.end(*loops)
        if self._running:
            logger.warning("%d jobs did not end when told to; other workers take them over", len(self._running))
        self._running.clear()
        await self._engine.stop()

    async def _finish(self, seconds: float) -> None:
        """Wait until nothing runs and everything is stored, that long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running:
                    self._freed.clear()
                    await self._freed.wait()

    # The loops. Each goes on for ever; what fails in one is logged and tried again.

    async def _steadily(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while not (self._stopping and what == "claim"):
            began = monotonic()
            try:
                await step()
                failures = 0
            except Exception as error:  # the database is away, say: the worker outlives that
                failures = 1 if monotonic() - began > _LONGEST_PAUSE else failures + 1
                self._metrics.error(what)
                if what == "claim":
                    self._trouble = f"it cannot reach its jobs ({type(error).__name__})"
                pause = min(_LONGEST_PAUSE, 0.25 * 2 ** min(failures, 8))
                # The first in a row with its traceback; the rest would fill the log.
                logger.warning(
                    "worker: %s failed, again in %g s: %s", what, pause, type(error).__name__, exc_info=failures == 1
                )
                await asyncio.sleep(pause)

    async def _repeat(self, seconds: float, once: Callable[[], Awaitable[object]]) -> None:
        await once()
        await asyncio.sleep(seconds)

    async def _claim(self) -> None:
        batch = 1
        while not self._stopping:
            free = self._concurrency - len(self._running)
            if free <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            self._wake.clear()  # before looking: what comes meanwhile is looked for again
            wanted = min(free, batch)
            try:
                claims = await self._engine.claim(self._queues, wanted)
            except Contended:
                await asyncio.sleep(0.01)
                continue
            self._trouble = None
            for claim in claims:
                self._start(claim)
            # As long as there is more than was asked for, ask for more at a time.
            batch = min(2 * batch, self._concurrency) if len(claims) == wanted else 1
            if not claims:
                await self._sleep()

    async def _sleep(self) -> None:
        """Until there may be a job."""
        due = await self._engine.due_in(self._queues)
        # What is due and was not given is held up, by a job of the same lock or by a transaction that is still open.
        self._held_up = due == 0
        seconds = self._every.poll if due is None or self._held_up else min(due, self._every.poll)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _settle(self) -> None:
        """Store what came of attempts; what came together goes together."""
        while True:
            batch = [await self._settlements.get()]
            while not self._settlements.empty() and len(batch) < 100:
                batch.append(self._settlements.get_nowait())
            try:
                settled = await self._engine.settle([settlement for _, settlement in batch])
            except BaseException:
                for item in batch:
                    self._settlements.put_nowait(item)
                raise
            for running, settlement in batch:
                outcome = settlement.state.value if settlement.claim.id in settled else "lost"
                if outcome == "lost":
                    logger.warning("job %d was not this worker's any more when it ended", settlement.claim.id)
                self._free(running, outcome)
            if self._held_up or any(settlement.state is JobState.QUEUED for _, settlement in batch):
                self._wake.set()

    async def _cancel(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every.poll):
                await self._cancelled.wait()
        self._cancelled.clear()
        await self.cancel_once()

    async def _tick(self) -> None:
        await asyncio.sleep(await self.tick_once())

    # What the loops do, once each.

    async def rescue_once(self) -> None:
        """Say that this worker lives, and take the jobs of those that do not."""
        if not await self._engine.beat():
            logger.warning("this worker was taken for dead; its jobs are ended, because others have them now")
            for running in list(self._running.values()):
                self._interrupt(running, "stop")
        queued, failed = await self._engine.rescue(self._crashes, self._every.dead_after)
        self._metrics.rescued(queued, failed)
        if queued or failed:
            logger.warning("%d jobs of dead workers are queued again, %d have failed", queued, failed)
            self._wake.set()

    async def cancel_once(self) -> None:
        """End jobs that somebody wants to end, and those that are not this worker's any more."""
        running = {item.claim.id: item for item in self._running.values() if not item.settling}
        if running:
            for job_id in await self._engine.to_cancel([item.claim for item in running.values()]):
                self._interrupt(running[job_id], "cancel")

    async def sample_once(self) -> None:
        """Measure the queues."""
        self._metrics.sampled(await self._engine.sample())

    async def prune_once(self) -> None:
        """Delete what ended long ago, in batches."""
        while True:
            count = await self._engine.prune(self._retention, _PRUNE_BATCH)
            self._metrics.pruned(count)
            if count < _PRUNE_BATCH:
                return
            await asyncio.sleep(0.1)  # others write too

    async def tick_once(self) -> float:
        """Enqueue periodic jobs whose time has come; seconds until the next one's."""
        now = self._jobs.clock()
        for item in self._jobs.periodic:
            at = item.last(now)
            if now - at <= CATCH_UP and self._ticked.get(item.key, -1) < at:
                name = f"periodic:{item.key}"[:200]
                new = self._jobs.new(item.task, item.arguments, key=name, lock=name)
                if await self._engine.tick(item.key, at, new):
                    self._wake.set()
                self._ticked[item.key] = at
        return max(0.05, min(item.next(now) for item in self._jobs.periodic) - now)

    # One job.

    def _start(self, claim: Claim) -> None:
        running = self._running[claim.id] = _Running(claim, monotonic())
        attempt = self._executor.run(claim, interrupted=lambda: running.ended_by is not None)
        running.task = asyncio.create_task(attempt, name=f"job {claim.id} ({claim.task})")
        # Not by the task itself: one that is cancelled before its first step never takes it.
        running.task.add_done_callback(partial(self._ended, running))

    def _ended(self, running: _Running, task: asyncio.Task[Settlement]) -> None:
        claim = running.claim
        if task.cancelled():
            if running.ended_by == "cancel":
                settlement = Settlement(claim=claim, state=JobState.CANCELLED, error="cancelled while it ran")
            else:
                settlement = Settlement(claim=claim, state=JobState.QUEUED, error="handed back: the worker ended")
        elif (error := task.exception()) is not None:
            logger.error("job %d could not be run", claim.id, exc_info=error)
            settlement = Settlement(claim=claim, state=JobState.FAILED, error=type(error).__name__)
        else:
            settlement = task.result()
        running.settling = True
        self._settlements.put_nowait((running, settlement))

    def _interrupt(self, running: _Running, reason: Literal["cancel", "stop"]) -> None:
        if not running.settling and running.ended_by is None and running.task is not None:
            running.ended_by = reason
            running.task.cancel()

    def _free(self, running: _Running, outcome: str) -> None:
        if self._running.get(running.claim.id) is running:
            del self._running[running.claim.id]
        self._metrics.attempted(running.claim.task, outcome, monotonic() - running.started_at)
        self._freed.set()
