"""What the domain needs from outside, as protocols that `app.infra` fulfils."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from app.domain.deliveries import Attempt, Delivery, DeliveryReport, DeliveryStatus, Outcome
from app.domain.endpoints import DisabledReason, Endpoint, Subscription
from app.domain.events import Event
from app.domain.paging import Page


class Endpoints(Protocol):
    """The endpoints that are stored."""

    async def add(self, endpoint: Endpoint) -> None:
        """Store a new one."""

    async def get(self, tenant: str, endpoint_id: UUID) -> Endpoint | None:
        """One of the tenant's, or None."""

    async def list(self, tenant: str, *, limit: int, before: UUID | None) -> Page[Endpoint]:
        """The tenant's, newest first."""

    async def subscriptions(self, tenant: str) -> Sequence[Subscription]:
        """What the tenant's enabled endpoints want. In a writing unit these endpoints stay until its end."""

    async def count(self, tenant: str) -> int:
        """How many the tenant has."""

    async def save(self, endpoint: Endpoint, *, replacing: int) -> bool:
        """Store a change of version `replacing`; False when that is no longer the stored version."""

    async def delete(self, endpoint: Endpoint) -> bool:
        """Remove it with its deliveries; False when its version is no longer the stored one."""


class Events(Protocol):
    """The events that are stored."""

    async def add(self, event: Event) -> None:
        """Store a new one."""

    async def get(self, tenant: str, event_id: UUID) -> Event | None:
        """One of the tenant's, or None."""

    async def list(self, tenant: str, *, type: str | None, limit: int, before: UUID | None) -> Page[Event]:  # noqa: A002
        """The tenant's, newest first."""

    async def remove(self, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` events of any tenant that were created before then, the oldest first, with their deliveries and
        attempts; how many events it were. One with a delivery that is under way, or in somebody's hands, stays."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None means any."""

    status: DeliveryStatus | None = None
    endpoint_id: UUID | None = None
    event_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Everything that one attempt needs."""

    delivery: Delivery
    endpoint: Endpoint
    event: Event


class Deliveries(Protocol):
    """The deliveries that are stored."""

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Store new ones, in the transaction of their event: none is lost, none is made up."""

    async def get(self, tenant: str, delivery_id: UUID, *, for_update: bool = False) -> Delivery | None:
        """One of the tenant's, or None. `for_update` keeps others from changing it until the unit ends."""

    async def dispatch(self, delivery_id: UUID) -> Dispatch | None:
        """What an attempt at it needs, whosever it is, or None."""

    async def report(self, tenant: str, delivery_id: UUID) -> DeliveryReport | None:
        """One of the tenant's with its attempts, or None."""

    async def list(self, tenant: str, *, where: DeliveryFilter, limit: int, before: UUID | None) -> Page[Delivery]:
        """The tenant's, newest first."""

    async def save(self, delivery: Delivery) -> None:
        """Store a change."""

    async def overdue(self, *, before: datetime, after: Delivery | None, limit: int) -> Sequence[Delivery]:
        """Of all tenants, those whose attempt has been due since before then: the longest first, those that follow `after`."""

    async def add_attempt(self, delivery_id: UUID, attempt: Attempt) -> None:
        """Remember an attempt."""


class Promise(Enum):
    """What became of the promise to make a delivery."""

    OPEN = "open"  # a worker has it, or will have it
    BROKEN = "broken"  # workers have tried as often as they may
    WITHDRAWN = "withdrawn"  # somebody has ended it by hand
    GONE = "gone"  # kept, and yet the delivery has not ended; or not known at all


class DeliveryQueue(Protocol):
    """The way of a delivery to a worker."""

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Have each of them made: promised with this transaction, begun once it is committed. They come back with tickets."""

    async def promises(self, tickets: Collection[int]) -> Mapping[int, Promise]:
        """What became of these promises."""


class UnitOfWork(Protocol):
    """One transaction. `async with uow:` commits at the end of the block, or rolls back when it raises."""

    @property
    def endpoints(self) -> Endpoints: ...

    @property
    def events(self) -> Events: ...

    @property
    def deliveries(self) -> Deliveries: ...

    @property
    def queue(self) -> DeliveryQueue: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def reading(self) -> AbstractAsyncContextManager[Self]:
        """A transaction that only reads, and so waits for no writer."""


class Sender(Protocol):
    """Makes the requests to subscribers."""

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST `body` to `url`. Whatever the other side does is an outcome, never an exception."""


class Measures(Protocol):
    """What the business counts."""

    def event_accepted(self, *, deliveries: int) -> None:
        """An event was stored, with that many deliveries."""

    def delivery_attempted(self, status: DeliveryStatus, outcome: Outcome) -> None:
        """An attempt ended, which leaves its delivery in `status`."""

    def endpoint_disabled(self, reason: DisabledReason) -> None:
        """An attempt was the last straw."""

    def delivery_recovered(self, status: DeliveryStatus) -> None:
        """A delivery that nobody would have made is in `status` now: promised again, or ended."""

    def events_removed(self, count: int) -> None:
        """So many old events were deleted."""
