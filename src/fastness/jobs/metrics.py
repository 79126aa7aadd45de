"""What is counted of jobs. Queues are asked now and then by a worker, never for each job."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastness import _metrics
from fastness.jobs.model import QueueStatus

if TYPE_CHECKING:
    from prometheus_client import Gauge

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """The metrics of workers, one set for the process.

    Every worker sees the same queues: where processes share their metrics, the greatest value counts.
    """

    def __init__(self) -> None:
        self._waiting = _gauge("waiting", "Jobs that could start now.")
        self._scheduled = _gauge("scheduled", "Jobs whose time has not come, other attempts included.")
        self._running = _gauge("running", "Jobs that are being run, by all workers.")
        self._failed = _gauge("failed", "Jobs that have failed for good and are kept.")
        self._oldest = _gauge("oldest_seconds", "Time that the oldest of the waiting jobs has been due.")
        self._seconds = _metrics.histogram(
            "fastness_jobs_attempt_seconds",
            "Time that attempts of jobs took, by what the job became (queued is another attempt; lost, not ours any more).",
            ("task", "outcome"),
            buckets=_SECONDS,
        )
        self._rescued = _metrics.counter(
            "fastness_jobs_rescued", "Jobs taken from workers that died, by what they became.", ("outcome",)
        )
        self._pruned = _metrics.counter("fastness_jobs_pruned", "Jobs that had ended and were deleted.")
        self._errors = _metrics.counter(
            "fastness_jobs_worker_errors", "Times that a worker could not reach its jobs.", ("what",)
        )
        self._queues: set[str] = set()

    def attempted(self, task: str, outcome: str, seconds: float) -> None:
        """An attempt has ended."""
        self._seconds.labels(task, outcome).observe(seconds)

    def rescued(self, queued: int, failed: int) -> None:
        """Jobs were taken from dead workers."""
        self._rescued.labels("queued").inc(queued)
        self._rescued.labels("failed").inc(failed)

    def pruned(self, count: int) -> None:
        """Jobs were deleted."""
        self._pruned.inc(count)

    def error(self, what: str) -> None:
        """A step of a worker failed."""
        self._errors.labels(what).inc()

    def sampled(self, queues: Iterable[QueueStatus]) -> None:
        """This is what the queues hold. One that holds nothing any more is shown as empty."""
        found = {status.queue: status for status in queues}
        for gone in self._queues - found.keys():
            found[gone] = QueueStatus(queue=gone, waiting=0, scheduled=0, running=0, failed=0, oldest=0.0)
        for queue, status in found.items():
            self._waiting.labels(queue).set(status.waiting)
            self._scheduled.labels(queue).set(status.scheduled)
            self._running.labels(queue).set(status.running)
            self._failed.labels(queue).set(status.failed)
            self._oldest.labels(queue).set(status.oldest)
        self._queues |= found.keys()


def _gauge(name: str, help_: str) -> Gauge:
    return _metrics.gauge(f"fastness_jobs_{name}", help_, ("queue",), many="livemax")
