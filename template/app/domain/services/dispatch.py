"""Makes the deliveries: sends one that is due, signed, and remembers what came of it.

A delivery is made at least once. Whoever dies between sending and remembering leaves it pending, and it is made again with the
same `webhook-id`, by which the receiver knows it.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from app.domain import signing
from app.domain.clock import Clock, system_clock
from app.domain.deliveries import Attempt, Delivery, EndReason, Outcome
from app.domain.ports import Dispatch, Measures, Sender, UnitOfWork

Unit = TypeVar("Unit", bound=UnitOfWork)

# Seconds: clocks of two machines differ, and a delivery that is all but due is not worth another turn.
_ALL_BUT_DUE = 1.0


class Dispatcher(Generic[Unit]):
    """Makes deliveries of all tenants.

    Args:
        units: makes units of work; deliveries are made at the same time, each in transactions of its own.
        jitter: gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        units: Callable[[], Unit],
        *,
        sender: Sender,
        measures: Measures,
        clock: Clock = system_clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._units = units
        self._sender = sender
        self._measures = measures
        self._now = clock
        self._jitter = jitter

    async def attempt(self, delivery_id: UUID, *, ticket: int, confirm: Callable[[Unit], Awaitable[object]]) -> float | None:
        """Make the attempt that is due.

        Args:
            delivery_id: of the delivery. One that is gone, or has ended, is left alone.
            ticket: of the promise that is being kept. What was ended only because this promise was broken, or withdrawn, is
                due again.
            confirm: called in each transaction that writes; it raises when this turn is somebody else's by now, and then
                nothing is written.

        Returns:
            Seconds until the next attempt is due, or None when there will be none.
        """
        async with self._units().reading() as uow:
            dispatch = await uow.deliveries.dispatch(delivery_id)
        if dispatch is None:
            return None
        stored, started_at = dispatch.delivery, self._now()
        dispatch = replace(dispatch, delivery=stored.resume(ticket, at=started_at))
        due_in = dispatch.delivery.due_in(started_at)
        if due_in is None or due_in > _ALL_BUT_DUE:
            return due_in
        if not dispatch.endpoint.enabled:
            await self._cancel(dispatch, confirm, stored=stored)
            return None
        outcome = await self._send(dispatch, at=started_at)  # no transaction is open while the other side takes its time
        return await self._settle(dispatch, outcome, confirm, stored=stored, started_at=started_at)

    async def _send(self, dispatch: Dispatch, *, at: datetime) -> Outcome:
        body = dispatch.event.body()
        headers = signing.headers(
            message_id=dispatch.event.public_id,
            sent_at=at,
            body=body,
            secrets=dispatch.endpoint.valid_secrets(at),
        )
        return await self._sender.send(dispatch.endpoint.url, headers=headers, body=body)

    async def _settle(
        self,
        dispatch: Dispatch,
        outcome: Outcome,
        confirm: Callable[[Unit], Awaitable[object]],
        *,
        stored: Delivery,
        started_at: datetime,
    ) -> float | None:
        now = self._now()
        endpoint = dispatch.endpoint.after(outcome, at=now)
        delivery = dispatch.delivery.after(outcome, at=now, jitter=self._jitter())
        attempt = Attempt(
            number=delivery.attempts,
            started_at=started_at,
            duration=outcome.duration,
            status_code=outcome.status_code,
            error=outcome.error,
            excerpt=outcome.excerpt,
        )
        saved = False
        async with self._units() as uow:
            await confirm(uow)
            if endpoint != dispatch.endpoint:
                # Before the delivery, as a removal of the endpoint takes them. A change at this very moment wins: what the
                # receiver does next says so again.
                saved = await uow.endpoints.save(endpoint, replacing=dispatch.endpoint.version)
            if not await _unchanged(uow, stored):
                return None
            await uow.deliveries.add_attempt(delivery.id, attempt)
            await uow.deliveries.save(delivery)
        self._measures.delivery_attempted(delivery.status, outcome)
        if saved and endpoint.disabled_reason is not None and dispatch.endpoint.enabled:
            self._measures.endpoint_disabled(endpoint.disabled_reason)
        return delivery.due_in(now)

    async def _cancel(self, dispatch: Dispatch, confirm: Callable[[Unit], Awaitable[object]], *, stored: Delivery) -> None:
        async with self._units() as uow:
            await confirm(uow)
            if await _unchanged(uow, stored):
                await uow.deliveries.save(dispatch.delivery.cancel(EndReason.ENDPOINT_DISABLED, at=self._now()))


async def _unchanged(uow: UnitOfWork, delivery: Delivery) -> bool:
    """Whether it is still as it was read. Otherwise somebody has made it meanwhile: what that found out counts."""
    return await uow.deliveries.get(delivery.tenant, delivery.id, for_update=True) == delivery
