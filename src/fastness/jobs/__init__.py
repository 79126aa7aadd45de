"""Durable jobs: enqueued in the caller's transaction, run at least once, on PostgreSQL (procrastinate) or SQLite.

Tables come from `fastness.jobs.migrations`, the process from `fastness worker`. Needs the extra `fastness[jobs]`. What only a
worker uses is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from fastness.jobs.model import Enqueued, Job, JobError, JobLost, JobRecord, JobState, Retention
from fastness.jobs.periodic import Periodic
from fastness.jobs.resource import Jobs, once
from fastness.jobs.retry import ONCE, STANDARD_WEBHOOKS, Backoff, GiveUp, Retry, RetryPolicy, Schedule
from fastness.jobs.task import ArgumentsError, Injected, Task, task

if TYPE_CHECKING:
    from fastness.jobs.worker import Intervals, Worker

__all__ = [
    "ONCE",
    "STANDARD_WEBHOOKS",
    "ArgumentsError",
    "Backoff",
    "Enqueued",
    "GiveUp",
    "Injected",
    "Intervals",
    "Job",
    "JobError",
    "JobLost",
    "JobRecord",
    "JobState",
    "Jobs",
    "Periodic",
    "Retention",
    "Retry",
    "RetryPolicy",
    "Schedule",
    "Task",
    "Worker",
    "once",
    "task",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in __all__:
            from fastness.jobs import worker

            return getattr(worker, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
