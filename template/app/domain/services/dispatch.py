"""Makes the deliveries: claims what is due, sends it signed, and remembers what came of it.

A delivery is made at least once. Whoever dies between sending and remembering leaves a lease that ends, and the delivery is
made again with the same `webhook-id`, by which the receiver knows it.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import signing
from app.domain.clock import Clock, system_clock
from app.domain.deliveries import GONE, Attempt, Outcome
from app.domain.ports import Claim, Dispatch, Measures, Sender, UnitOfWork


@dataclass(frozen=True, slots=True)
class DispatchRules:
    """How deliveries are made.

    Attributes:
        batch: how many are made at a time.
        lease: how long a worker may hold a delivery; well above the time limit of a request.
    """

    batch: int = 20
    lease: timedelta = timedelta(seconds=60)


class Dispatcher:
    """Makes deliveries of all tenants.

    `run_once` polls the queue; a job engine calls `attempt` instead.

    Args:
        units: makes units of work; deliveries are made at the same time, each in transactions of its own.
        jitter: gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        units: Callable[[], UnitOfWork],
        *,
        sender: Sender,
        measures: Measures,
        rules: DispatchRules,
        clock: Clock = system_clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._units = units
        self._sender = sender
        self._measures = measures
        self._rules = rules
        self._now = clock
        self._jitter = jitter

    async def run_once(self) -> int:
        """Make a batch of deliveries that are due. Returns how many there were."""
        now = self._now()
        async with self._units() as uow:
            claims = await uow.queue.claim(limit=self._rules.batch, at=now, until=now + self._rules.lease)
        async with asyncio.TaskGroup() as group:
            for claim in claims:
                group.create_task(self.attempt(claim))
        return len(claims)

    async def attempt(self, claim: Claim) -> None:
        """Make one attempt of a delivery. Nothing happens when the claim is not held any more."""
        async with self._units().reading() as uow:
            dispatch = await uow.queue.held(claim)
        if dispatch is None:
            return
        if not dispatch.endpoint.enabled:
            await self._cancel(claim)
            return
        started_at = self._now()
        outcome = await self._send(dispatch, at=started_at)  # no transaction is open while the other side takes its time
        await self._settle(claim, outcome, started_at=started_at)

    async def _send(self, dispatch: Dispatch, *, at: datetime) -> Outcome:
        body = dispatch.event.body()
        headers = signing.headers(
            message_id=dispatch.event.public_id,
            sent_at=at,
            body=body,
            secrets=dispatch.endpoint.valid_secrets(at),
        )
        return await self._sender.send(dispatch.endpoint.url, headers=headers, body=body)

    async def _settle(self, claim: Claim, outcome: Outcome, *, started_at: datetime) -> None:
        async with self._units() as uow:
            dispatch = await uow.queue.held(claim, for_update=True)
            if dispatch is None:
                return  # another worker has it: what it finds out counts
            now = self._now()
            delivery = dispatch.delivery.after(outcome, at=now, jitter=self._jitter())
            attempt = Attempt(
                number=delivery.attempts,
                started_at=started_at,
                duration=outcome.duration,
                status_code=outcome.status_code,
                error=outcome.error,
                excerpt=outcome.excerpt,
            )
            await uow.deliveries.add_attempt(delivery.id, attempt)
            await uow.deliveries.save(delivery)
            if outcome.status_code == GONE and dispatch.endpoint.enabled:
                # A change at this very moment wins: if the endpoint is still gone, the next delivery says so again.
                await uow.endpoints.save(dispatch.endpoint.disable(at=now), replacing=dispatch.endpoint.version)
        self._measures.delivery_attempted(delivery.status, outcome)

    async def _cancel(self, claim: Claim) -> None:
        async with self._units() as uow:
            dispatch = await uow.queue.held(claim, for_update=True)
            if dispatch is not None:
                await uow.deliveries.save(dispatch.delivery.cancel(at=self._now()))
