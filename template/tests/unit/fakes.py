"""The domain's ports in memory, so that services are tested without a database and without HTTP."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from app.domain.deliveries import Attempt, Delivery, DeliveryReport, DeliveryStatus, Outcome
from app.domain.endpoints import DisabledReason, Endpoint, Subscription
from app.domain.events import Event
from app.domain.paging import Page
from app.domain.ports import DeliveryFilter, Dispatch, Promise


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Memory:
    """A database that forgets, and every repository on it. A unit of work that raises leaves it as it was."""

    def __init__(self) -> None:
        self.endpoint_rows: dict[UUID, Endpoint] = {}
        self.event_rows: dict[UUID, Event] = {}
        self.delivery_rows: dict[UUID, Delivery] = {}
        self.attempt_rows: dict[UUID, list[Attempt]] = {}
        self.enqueued: dict[UUID, int] = {}
        self.promise_rows: dict[int, Promise] = {}
        self.endpoints = MemoryEndpoints(self)
        self.events = MemoryEvents(self)
        self.deliveries = MemoryDeliveries(self)
        self.queue = MemoryQueue(self)

    async def __aenter__(self) -> Self:
        self._before = {name: dict(rows) for name, rows in vars(self).items() if isinstance(rows, dict)}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            vars(self).update(self._before)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Self]:
        yield self


class MemoryEndpoints:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, endpoint: Endpoint) -> None:
        self._memory.endpoint_rows[endpoint.id] = endpoint

    async def get(self, tenant: str, endpoint_id: UUID) -> Endpoint | None:
        found = self._memory.endpoint_rows.get(endpoint_id)
        return found if found is not None and found.tenant == tenant else None

    async def list(self, tenant: str, *, limit: int, before: UUID | None) -> Page[Endpoint]:
        return Page([e for e in self._memory.endpoint_rows.values() if e.tenant == tenant][:limit], None)

    async def subscriptions(self, tenant: str) -> Sequence[Subscription]:
        rows = self._memory.endpoint_rows.values()
        return [Subscription(row.id, row.event_types) for row in rows if row.tenant == tenant and row.enabled]

    async def count(self, tenant: str) -> int:
        return sum(row.tenant == tenant for row in self._memory.endpoint_rows.values())

    async def save(self, endpoint: Endpoint, *, replacing: int) -> bool:
        if self._memory.endpoint_rows[endpoint.id].version != replacing:
            return False
        self._memory.endpoint_rows[endpoint.id] = endpoint
        return True

    async def delete(self, endpoint: Endpoint) -> bool:
        return self._memory.endpoint_rows.pop(endpoint.id, None) is not None


class MemoryEvents:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, event: Event) -> None:
        self._memory.event_rows[event.id] = event

    async def get(self, tenant: str, event_id: UUID) -> Event | None:
        found = self._memory.event_rows.get(event_id)
        return found if found is not None and found.tenant == tenant else None

    async def list(self, tenant: str, *, type: str | None, limit: int, before: UUID | None) -> Page[Event]:  # noqa: A002
        return Page([e for e in self._memory.event_rows.values() if e.tenant == tenant][:limit], None)

    async def remove(self, *, before: datetime, limit: int) -> int:
        under_way = {row.event_id for row in self._memory.delivery_rows.values() if row.due_at is not None}
        events = self._memory.event_rows.values()
        removed = [event.id for event in events if event.created_at < before and event.id not in under_way][:limit]
        for event_id in removed:
            del self._memory.event_rows[event_id]
        return len(removed)


class MemoryDeliveries:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        self._memory.delivery_rows |= {delivery.id: delivery for delivery in deliveries}

    async def get(self, tenant: str, delivery_id: UUID, *, for_update: bool = False) -> Delivery | None:
        found = self._memory.delivery_rows.get(delivery_id)
        return found if found is not None and found.tenant == tenant else None

    async def dispatch(self, delivery_id: UUID) -> Dispatch | None:
        memory = self._memory
        found = memory.delivery_rows.get(delivery_id)
        if found is None:
            return None
        return Dispatch(
            delivery=found, endpoint=memory.endpoint_rows[found.endpoint_id], event=memory.event_rows[found.event_id]
        )

    async def report(self, tenant: str, delivery_id: UUID) -> DeliveryReport | None:
        found = await self.get(tenant, delivery_id)
        return None if found is None else DeliveryReport(found, self._memory.attempt_rows.get(delivery_id, []))

    async def list(self, tenant: str, *, where: DeliveryFilter, limit: int, before: UUID | None) -> Page[Delivery]:
        return Page([d for d in self._memory.delivery_rows.values() if d.tenant == tenant][:limit], None)

    async def save(self, delivery: Delivery) -> None:
        self._memory.delivery_rows[delivery.id] = delivery

    async def overdue(self, *, before: datetime, after: Delivery | None, limit: int) -> Sequence[Delivery]:
        def place(row: Delivery) -> tuple[datetime, UUID]:
            assert row.due_at is not None
            return row.due_at, row.id

        late = [row for row in self._memory.delivery_rows.values() if row.due_at is not None and row.due_at < before]
        return sorted((row for row in late if after is None or place(row) > place(after)), key=place)[:limit]

    async def add_attempt(self, delivery_id: UUID, attempt: Attempt) -> None:
        self._memory.attempt_rows[delivery_id] = [*self._memory.attempt_rows.get(delivery_id, []), attempt]


class MemoryQueue:
    """Counts how often each delivery was promised."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        promised = []
        for delivery in deliveries:
            self._memory.enqueued[delivery.id] = self._memory.enqueued.get(delivery.id, 0) + 1
            ticket = len(self._memory.promise_rows) + 1
            self._memory.promise_rows[ticket] = Promise.OPEN
            promised.append(replace(delivery, ticket=ticket))
        return promised

    async def promises(self, tickets: Collection[int]) -> Mapping[int, Promise]:
        return {ticket: self._memory.promise_rows[ticket] for ticket in tickets}


class Receiver:
    """A `Sender` that remembers what it was given and answers what it is told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.requests: list[tuple[str, Mapping[str, str], bytes]] = []
        self.outcomes = list(outcomes)

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        self.requests.append((url, headers, body))
        return self.outcomes.pop(0) if self.outcomes else Outcome(duration=0.1, status_code=200)


class Tally:
    """`Measures` that remembers."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.attempted: list[DeliveryStatus] = []
        self.disabled: list[DisabledReason] = []
        self.recovered: list[DeliveryStatus] = []
        self.removed = 0

    def event_accepted(self, *, deliveries: int) -> None:
        self.accepted.append(deliveries)

    def delivery_attempted(self, status: DeliveryStatus, outcome: Outcome) -> None:
        self.attempted.append(status)

    def endpoint_disabled(self, reason: DisabledReason) -> None:
        self.disabled.append(reason)

    def delivery_recovered(self, status: DeliveryStatus) -> None:
        self.recovered.append(status)

    def events_removed(self, count: int) -> None:
        self.removed += count


def make_endpoint(clock: Clock, **changes: object) -> Endpoint:
    """An endpoint of `acme` that wants everything."""
    endpoint = Endpoint(
        id=uuid4(),
        tenant="acme",
        url="https://example.com/hook",
        description="",
        event_types=("*",),
        secret="whsec_" + "A" * 43 + "=",
        created_at=clock(),
        updated_at=clock(),
    )
    return replace(endpoint, **changes)  # type: ignore[arg-type]
