"""What keeps Relay in order while nobody looks: deliveries that nobody would make any more, and events of long ago."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from app.domain.clock import Clock, system_clock
from app.domain.deliveries import Delivery, EndReason
from app.domain.ports import Measures, Promise, UnitOfWork

_LATE = timedelta(minutes=5)  # a delivery that waits no longer is not looked at
_LOOK = 500
_REMOVE = 200
_BREATH = 0.1  # seconds between two batches: others write too


class Upkeep:
    """Looks after the deliveries and events of all tenants. Run again, or twice at the same time, it does no harm.

    Args:
        units: makes units of work; each change is a short transaction of its own.
        keep: how long events are kept; None is for ever.
    """

    def __init__(
        self,
        units: Callable[[], UnitOfWork],
        *,
        measures: Measures,
        keep: timedelta | None,
        clock: Clock = system_clock,
    ) -> None:
        self._units = units
        self._measures = measures
        self._keep = keep
        self._now = clock

    async def recover(self) -> int:
        """Find late deliveries that nobody will make, and promise them again or end them; how many they were.

        What workers gave up ends as failed, what somebody withdrew as cancelled: promised again, the first would never end,
        and the second is not wanted. Any other is promised again.
        """
        before, after, recovered = self._now() - _LATE, None, 0
        while True:
            async with self._units().reading() as uow:
                found = await uow.deliveries.overdue(before=before, after=after, limit=_LOOK)
                promises = await uow.queue.promises([each.ticket for each in found if each.ticket is not None])
            for delivery in found:
                promise = Promise.GONE if delivery.ticket is None else promises[delivery.ticket]
                if promise is not Promise.OPEN:
                    recovered += await self._recover(delivery, promise)
            if len(found) < _LOOK:
                return recovered
            after = found[-1]

    async def remove_old(self) -> int:
        """Delete events that have been kept long enough, with all that came of them; how many they were."""
        if self._keep is None:
            return 0
        before, removed = self._now() - self._keep, 0
        while True:
            async with self._units() as uow:
                count = await uow.events.remove(before=before, limit=_REMOVE)
            self._measures.events_removed(count)
            removed += count
            if count < _REMOVE:
                return removed
            await asyncio.sleep(_BREATH)

    async def _recover(self, delivery: Delivery, promise: Promise) -> bool:
        async with self._units() as uow:
            if await uow.deliveries.get(delivery.tenant, delivery.id, for_update=True) != delivery:
                return False  # somebody has it after all
            if promise is Promise.BROKEN:
                changed = delivery.abandon(at=self._now())
            elif promise is Promise.WITHDRAWN:
                changed = delivery.cancel(EndReason.WITHDRAWN, at=self._now())
            else:
                [changed] = await uow.queue.enqueue([delivery])
            await uow.deliveries.save(changed)
        self._measures.delivery_recovered(changed.status)
        return True
