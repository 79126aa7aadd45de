"""The unit of work on a session: one transaction, with the repositories that work in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from app.infra.db.engine import READ_ONLY

# feature: example
from app.infra.db.repositories import SqlDeliveries, SqlDeliveryQueue, SqlEndpoints, SqlEvents
from app.infra.db.sealing import Sealer

# /feature: example


class SqlTransaction:
    """A transaction. `async with` commits at the end of the block, or rolls back when it raises."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def __aenter__(self) -> Self:
        await self._session.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._session.commit()
        finally:
            # Gives the connection back, and rolls back what was not committed.
            await self._session.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Self]:
        """A transaction that only reads, and so waits for no writer."""
        async with self:
            await self._session.connection(execution_options=READ_ONLY)
            yield self


# feature: example
class SqlUnitOfWork(SqlTransaction):
    """What the domain works with: `app.domain.ports.UnitOfWork`."""

    def __init__(self, session: AsyncSession, sealer: Sealer) -> None:
        super().__init__(session)
        self.endpoints = SqlEndpoints(session, sealer)
        self.events = SqlEvents(session)
        self.deliveries = SqlDeliveries(session)
        self.queue = SqlDeliveryQueue(session, sealer)


# /feature: example
