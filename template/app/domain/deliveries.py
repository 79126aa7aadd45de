"""Deliveries: one event on its way to one endpoint, attempt by attempt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from app.domain.refusals import DeliveryNotFinished

# Delay before each attempt, in seconds: the schedule that the Standard Webhooks specification gives, over three days.
RETRY_SCHEDULE: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
_JITTER = 0.2
_LONGEST_RETRY_AFTER = 86_400.0
GONE = 410


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EndReason(StrEnum):
    """Why a delivery ended without success."""

    EXHAUSTED = "exhausted"  # every attempt of the schedule has failed
    GONE = "gone"  # the receiver answered 410
    ENDPOINT_DISABLED = "endpoint_disabled"
    ABANDONED = "abandoned"  # our workers could not make it, which says nothing about the receiver
    WITHDRAWN = "withdrawn"  # whoever runs the service has ended it


class AttemptError(StrEnum):
    """Why an attempt did not succeed."""

    STATUS = "status"  # answered, but not with 2xx; redirects are not followed
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # no such name, connection refused or broken, TLS failure
    FORBIDDEN_ADDRESS = "forbidden_address"  # the name leads to an address that we do not deliver to
    PROTOCOL = "protocol"  # the answer is not HTTP


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request to a subscriber.

    Attributes:
        duration: seconds.
        status_code: None when there was no answer.
        error: None when it was a success.
        excerpt: the beginning of the answer's body.
        retry_after: seconds that the subscriber asked us to wait.
    """

    duration: float
    status_code: int | None = None
    error: AttemptError | None = None
    excerpt: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of a delivery, as it is remembered."""

    number: int
    started_at: datetime
    duration: float
    status_code: int | None
    error: AttemptError | None
    excerpt: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint.

    Attributes:
        attempts: how many requests were made.
        due_at: when the next one is due, or None when there will be none.
        reason: why it ended, unless it has succeeded.
        ticket: what the queue knows its latest promise by; None when nothing was promised.
    """

    id: UUID
    tenant: str
    event_id: UUID
    endpoint_id: UUID
    status: DeliveryStatus
    attempts: int
    due_at: datetime | None
    created_at: datetime
    finished_at: datetime | None = None
    reason: EndReason | None = None
    ticket: int | None = None

    @classmethod
    def create(cls, *, id: UUID, tenant: str, event_id: UUID, endpoint_id: UUID, at: datetime) -> Self:  # noqa: A002
        """A new delivery, due at once."""
        return cls(
            id=id,
            tenant=tenant,
            event_id=event_id,
            endpoint_id=endpoint_id,
            status=DeliveryStatus.PENDING,
            attempts=0,
            due_at=at + timedelta(seconds=RETRY_SCHEDULE[0]),
            created_at=at,
        )

    def after(self, outcome: Outcome, *, at: datetime, jitter: float) -> Self:
        """This delivery after one more attempt.

        Args:
            at: when the attempt ended.
            jitter: a random number from 0 to 1, which spreads retries so that they do not come in waves.
        """
        attempts = self.attempts + 1
        if outcome.error is None:
            return self._finish(DeliveryStatus.SUCCEEDED, at=at, attempts=attempts)
        if outcome.status_code == GONE or attempts >= len(RETRY_SCHEDULE):
            reason = EndReason.GONE if outcome.status_code == GONE else EndReason.EXHAUSTED
            return self._finish(DeliveryStatus.FAILED, at=at, attempts=attempts, reason=reason)
        delay = RETRY_SCHEDULE[attempts] * (1 + _JITTER * jitter)
        asked = min(outcome.retry_after or 0.0, _LONGEST_RETRY_AFTER)
        return replace(self, attempts=attempts, due_at=at + timedelta(seconds=max(delay, asked)))

    def due_in(self, at: datetime) -> float | None:
        """Seconds from `at` until the next attempt, 0 when it is due; None when there will be none."""
        return None if self.due_at is None else max(0.0, (self.due_at - at).total_seconds())

    def cancel(self, reason: EndReason, *, at: datetime) -> Self:
        """Given up without an attempt."""
        return self._finish(DeliveryStatus.CANCELLED, at=at, attempts=self.attempts, reason=reason)

    def abandon(self, *, at: datetime) -> Self:
        """Failed, because nobody will make its next attempt."""
        return self._finish(DeliveryStatus.FAILED, at=at, attempts=self.attempts, reason=EndReason.ABANDONED)

    def resume(self, ticket: int, *, at: datetime) -> Self:
        """Due again when it was ended for want of the promise `ticket`, which is kept after all; else as it is."""
        wanted = self.ticket == ticket and self.reason in (EndReason.ABANDONED, EndReason.WITHDRAWN)
        return self.retry(at=at) if wanted else self

    def retry(self, *, at: datetime) -> Self:
        """Due again at once. One attempt is made; more follow as far as the schedule still has places.

        Raises:
            DeliveryNotFinished: it is still under way, or has succeeded.
        """
        if self.status not in (DeliveryStatus.FAILED, DeliveryStatus.CANCELLED):
            raise DeliveryNotFinished(self.status)
        return replace(self, status=DeliveryStatus.PENDING, due_at=at, finished_at=None, reason=None)

    def _finish(self, status: DeliveryStatus, *, at: datetime, attempts: int, reason: EndReason | None = None) -> Self:
        return replace(self, status=status, attempts=attempts, due_at=None, finished_at=at, reason=reason)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A delivery with its attempts, oldest first."""

    delivery: Delivery
    attempts: Sequence[Attempt]
