"""The domain's unit of work: a transaction, with the repositories that work in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from fastness.database import UnitOfWork

from app.domain.ports import DeliveryQueue
from app.infra.db.repositories import SqlDeliveries, SqlEndpoints, SqlEvents
from app.infra.db.sealing import Sealer


class SqlUnitOfWork:
    """`app.domain.ports.UnitOfWork` on `unit`.

    Attributes:
        unit: the transaction itself, for what is not the domain's.
    """

    def __init__(self, unit: UnitOfWork, sealer: Sealer, *, queue: DeliveryQueue) -> None:
        self.unit = unit
        self.endpoints = SqlEndpoints(unit, sealer)
        self.events = SqlEvents(unit)
        self.deliveries = SqlDeliveries(unit, sealer)
        self.queue = queue

    async def __aenter__(self) -> Self:
        await self.unit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unit.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Self]:
        """A transaction that only reads, and so waits for no writer."""
        async with self.unit.reading():
            yield self
