"""The values that jobs are told and asked by, and the seam between them and the databases that keep them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from fastness.database import UnitOfWork


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  # also while it waits for its time, or for another attempt
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # a dead letter: kept until pruned, and can be retried
    CANCELLED = "cancelled"


class JobError(RuntimeError):
    """Jobs were used, or set up, in a way that cannot work. A fault of the code or the installation, not of a job."""


class JobLost(Exception):  # noqa: N818 - a state of affairs
    """The job that is running is not this worker's any more: it was taken for dead, or ended by somebody else."""


class Contended(Exception):  # noqa: N818
    """Two workers wanted jobs of one lock at the same moment. Ask again."""


class Enqueued(NamedTuple):
    """What came of an enqueue.

    Attributes:
        id: of the job.
        created: False when a job of the same key was waiting already: that one stands for both.
    """

    id: int
    created: bool


class NewJob(NamedTuple):
    """A job on its way into the queue.

    Attributes:
        arguments: JSON object, as text.
        delay: seconds until it may start.
        enqueued_at: seconds since 1970.
        trace: W3C `traceparent` of who asked for it.
        request_id: of the request that asked for it.
    """

    task: str
    queue: str
    priority: int
    arguments: str
    key: str | None
    lock: str | None
    delay: float
    enqueued_at: float
    trace: str | None
    request_id: str | None


class Claim(NamedTuple):
    """A job that a worker has taken.

    Attributes:
        attempts: attempts that have ended. Together with `worker` it tells this claim from any other of the same job.
        worker: who has it, in the engine's own terms.
        arguments: JSON object, as text.
        strange: of the attempts, those of workers that did not know the task, or other arguments of it.
    """

    id: int
    task: str
    queue: str
    attempts: int
    worker: int
    arguments: str
    enqueued_at: float
    trace: str | None
    request_id: str | None
    strange: int = 0


class Settlement(NamedTuple):
    """How an attempt ended.

    Attributes:
        state: what the job becomes; `queued` is another attempt.
        delay: seconds until that.
        error: why, bounded and without secrets.
        strange: what the claim's is to be from now on; None leaves it.
    """

    claim: Claim
    state: JobState
    delay: float = 0.0
    error: str | None = None
    strange: int | None = None


class JobRecord(NamedTuple):
    """A job as it is stored.

    Attributes:
        attempts: attempts that have ended, those of workers that died included.
        crashes: attempts that ended with the death of their worker.
        error: of the last attempt that failed.
        due_at: when it may start; None when that is at once, or over.
    """

    id: int
    task: str
    queue: str
    state: JobState
    priority: int
    arguments: dict[str, Any]
    attempts: int
    crashes: int
    error: str | None
    key: str | None
    lock: str | None
    request_id: str | None
    enqueued_at: datetime
    due_at: datetime | None
    finished_at: datetime | None


class JobFilter(NamedTuple):
    """Which jobs to list; None means any."""

    state: JobState | None = None
    queue: str | None = None
    task: str | None = None


class Retention(NamedTuple):
    """How long jobs that have ended are kept, in seconds."""

    succeeded: float = 86_400.0
    cancelled: float = 86_400.0
    failed: float = 14 * 86_400.0


class QueueStatus(NamedTuple):
    """What a queue holds.

    Attributes:
        waiting: jobs that could start now.
        scheduled: jobs whose time has not come.
        oldest: seconds that the oldest of the waiting ones has been due.
    """

    queue: str
    waiting: int
    scheduled: int
    running: int
    failed: int
    oldest: float


class Job(NamedTuple):
    """The job that is running: a task that has a parameter annotated `Job` gets it.

    Attributes:
        attempt: counted from 1.
    """

    id: int
    task: str
    queue: str
    attempt: int
    enqueued_at: datetime
    claim: Claim
    engine: Engine

    def __repr__(self) -> str:
        # Without the claim: it has the arguments, which may be secret.
        return f"Job(id={self.id}, task={self.task!r}, queue={self.queue!r}, attempt={self.attempt})"


class Engine(Protocol):
    """A database that keeps jobs. One for each kind; `fastness.testing.conformance.jobs` says what each must do.

    The first group joins a unit of work of the caller's; the second is a worker's, on connections of its own.
    """

    async def insert(self, uow: UnitOfWork, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs, in one round trip."""

    async def get(self, uow: UnitOfWork, job_id: int) -> JobRecord | None:
        """One job, or None."""

    async def states(self, uow: UnitOfWork, job_ids: Collection[int]) -> Mapping[int, JobState]:
        """Where jobs stand; those that are not there are left out."""

    async def find(self, uow: UnitOfWork, where: JobFilter, *, limit: int, before: int | None) -> list[JobRecord]:
        """The newest first."""

    async def cancel(self, uow: UnitOfWork, job_id: int) -> bool:
        """End a waiting job and ask a running one to end; False when it has ended already."""

    async def retry(self, uow: UnitOfWork, job_id: int) -> bool:
        """Queue a failed or cancelled job again; False when it is neither."""

    async def mark(self, uow: UnitOfWork, claim: Claim, effect: str) -> bool:
        """Remember that the effect is made; False when it was. Raises `JobLost` when the claim does not hold."""

    async def check(self) -> None:
        """Raise when the tables are not there, or behind."""

    async def start(self, wake: Callable[[], None], cancelled: Callable[[], None]) -> None:
        """Become a worker. `wake` is called when there may be a new job, `cancelled` when one is to end."""

    async def stop(self) -> None:
        """Stop being a worker. What it still has is for others to take over."""

    async def claim(self, queues: Collection[str] | None, limit: int) -> list[Claim]:
        """Take up to `limit` jobs whose time has come. Raises `Contended`."""

    async def due_in(self, queues: Collection[str] | None) -> float | None:
        """Seconds until the next job may start, None when none waits."""

    async def settle(self, settlements: Sequence[Settlement]) -> set[int]:
        """Store how attempts ended; the ids of those whose claim still held."""

    async def to_cancel(self, claims: Sequence[Claim]) -> set[int]:
        """Of these, the ids of those that somebody wants to end."""

    async def beat(self) -> bool:
        """Say that this worker lives; False when it was taken for dead and has begun anew without its jobs."""

    async def rescue(self, crashes: int, dead_after: float) -> tuple[int, int]:
        """Take the jobs of workers silent for so many seconds: how many are queued again, and how many have failed."""

    async def tick(self, name: str, at: int, job: NewJob) -> bool:
        """Store the job of the periodic `name` for the time `at`, unless any worker has; whether it was stored."""

    async def prune(self, retention: Retention, limit: int) -> int:
        """Delete up to `limit` jobs that ended long enough ago; how many it were."""

    async def sample(self) -> Sequence[QueueStatus]:
        """What the queues hold."""
