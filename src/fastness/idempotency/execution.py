"""What a guard and its route class share: the claim of one request, and the two ways to carry it out, of which one is here.

`Leased` is store mode, for handlers whose effect is not in a database. The other way is `transaction`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fastness.idempotency.answer import HEADERS, Answer
from fastness.idempotency.outcome import IN_FLIGHT, REUSED, UNAVAILABLE, UNKNOWN, UNREADABLE, Outcome, Outcomes
from fastness.idempotency.sealing import Sealer, SealError, is_sealed
from fastness.idempotency.store import State, Store, StoreError
from fastness.problems import Problem

logger = logging.getLogger("fastness.idempotency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one request with a key claims.

    Attributes:
        key: SHA-256 of the caller, the operation and its key.
        fingerprint: SHA-256 of what the request asks for.
        keep: seconds for which its answer is stored.
        outcomes: where its outcome is counted.
        headers: the names of the headers that are stored.
        max_answer: bytes of a body that is stored.
        sealer: encrypts what is stored; None stores it as it is.
    """

    key: bytes
    fingerprint: bytes
    keep: float
    outcomes: Outcomes
    headers: frozenset[str] = HEADERS
    max_answer: int = 262_144
    sealer: Sealer | None = None

    def answer(self, response: Response) -> Answer:
        """What is to be stored of `response`."""
        answer = Answer.of(response, headers=self.headers, max_bytes=self.max_answer)
        return answer if self.sealer is None else self.sealer.seal(answer, owner=self.key + self.fingerprint)

    def stored(self, answer: Answer) -> Answer:
        """What is to be sent of an answer that is stored.

        Raises:
            Problem: it cannot be opened, or it is not sealed and would have to be: anybody may have written it.
        """
        if self.sealer is None and not is_sealed(answer):
            return answer
        try:
            if self.sealer is not None:
                return self.sealer.open(answer, owner=self.key + self.fingerprint)
            reason = "it is sealed, and its route has no keys any more"
        except SealError as error:
            reason = str(error)
        logger.error("a stored answer cannot be given: %s", reason)
        raise self.refuse(Outcome.UNREADABLE)

    def refuse(self, outcome: Outcome) -> Problem:
        """Count the outcome, and give the problem that answers it."""
        self.outcomes.count(outcome)
        kind = {
            Outcome.IN_FLIGHT: IN_FLIGHT,
            Outcome.MISMATCH: REUSED,
            Outcome.UNKNOWN: UNKNOWN,
            Outcome.UNAVAILABLE: UNAVAILABLE,
            Outcome.UNREADABLE: UNREADABLE,
        }[outcome]
        return Problem(kind)


class Execution(Protocol):
    """One request, from its key to its answer. `begin` is called first, then one of the others, once."""

    async def begin(self) -> Answer | None:
        """The stored answer, or None when the request is to be handled; raises `Problem` when it is to be refused."""
        ...

    async def settle(self, response: Response) -> Response:
        """The handler gave `response`: store it, and give what is to be sent."""
        ...

    async def fail(self, error: BaseException) -> None:
        """The handler raised `error`, or `begin` did."""
        ...

    async def leave(self) -> None:
        """`begin` gave a stored answer, which is going to be sent."""
        ...


class Leased:
    """Store mode: the key is held by a lease while the handler runs, and its answer is stored afterwards.

    An answer of 4xx, or an error that is known to mean one, says that nothing was done: the key is free again. Whatever else
    goes wrong leaves the outcome unknown.

    Args:
        claim: of this request.
        store: where keys are.
        lease: seconds; renewed three times as often.
        refusals: errors that say that nothing was done.
    """

    def __init__(self, claim: Claim, store: Store, *, lease: float, refusals: tuple[type[Exception], ...]) -> None:
        self._claim = claim
        self._store = store
        self._lease = lease
        self._refusals = refusals
        self._owner = secrets.token_hex(16)
        self._heartbeat: asyncio.Task[None] | None = None

    async def begin(self) -> Answer | None:
        """See `Execution`."""
        claim = self._claim
        try:
            verdict = await self._store.begin(
                claim.key, fingerprint=claim.fingerprint, owner=self._owner, lease=self._lease, keep=claim.keep
            )
        except (StoreError, asyncio.CancelledError) as error:
            # It may have been carried out all the same; nothing was done, so the key must not stay taken.
            with suppress(StoreError):
                await self._store.release(claim.key, owner=self._owner)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise claim.refuse(Outcome.UNAVAILABLE) from error
        if verdict.state is State.DONE:
            return claim.stored(Answer.decode(verdict.value))
        if verdict.state is not State.STARTED:
            refused = {State.RUNNING: Outcome.IN_FLIGHT, State.MISMATCH: Outcome.MISMATCH, State.UNKNOWN: Outcome.UNKNOWN}
            raise claim.refuse(refused[verdict.state])
        self._heartbeat = asyncio.create_task(self._beat())
        return None

    async def settle(self, response: Response) -> Response:
        """See `Execution`."""
        if response.status_code >= 400:
            await self._end(refused=response.status_code < 500)
            return response
        try:
            value = self._claim.answer(response).encode()
        except RuntimeError:
            await self._end(refused=False)
            raise
        try:
            reason = None if await self._finish(value) else "its entry is gone"
        except StoreError as error:
            reason = str(error)
        finally:
            self._stop()
        if reason is None:
            self._claim.outcomes.count(Outcome.EXECUTED)
        else:
            # The effect is there, so the client that is still waiting shall know. A retry of its gets `UNKNOWN`.
            self._claim.outcomes.count(Outcome.UNRECORDED)
            logger.error("an answer was given but could not be stored: %s", reason)
        return response

    async def fail(self, error: BaseException) -> None:
        """See `Execution`."""
        if self._heartbeat is not None:
            await self._end(refused=self._refused(error))

    async def leave(self) -> None:
        """See `Execution`."""
        self._claim.outcomes.count(Outcome.REPLAYED)

    def _refused(self, error: BaseException) -> bool:
        if isinstance(error, HTTPException):
            return error.status_code < 500
        if isinstance(error, Problem):
            return error.kind.status < 500
        return isinstance(error, (RequestValidationError, *self._refusals))

    async def _finish(self, value: bytes) -> bool:
        """Store the answer, also when the request is cancelled meanwhile: it has had its effect, and a retry asks for it."""
        finishing = asyncio.ensure_future(
            self._store.finish(self._claim.key, owner=self._owner, value=value, keep=self._claim.keep)
        )
        try:
            return await asyncio.shield(finishing)
        except asyncio.CancelledError:
            await asyncio.wait({finishing})
            with suppress(StoreError):
                finishing.result()
            raise

    async def _end(self, *, refused: bool) -> None:
        """End a request that has no answer to store: free its key, or let its outcome be unknown from now on."""
        self._stop()
        self._claim.outcomes.count(Outcome.UNDONE if refused else Outcome.UNKNOWN)
        try:
            if refused:
                await self._store.release(self._claim.key, owner=self._owner)
            else:
                await self._store.extend(self._claim.key, owner=self._owner, lease=0)
        except StoreError as failure:
            logger.error("a key could not be given back, its outcome is unknown when its lease ends: %s", failure)  # noqa: TRY400

    def _stop(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    async def _beat(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                if not await self._store.extend(self._claim.key, owner=self._owner, lease=self._lease):
                    logger.error("the entry of a request that is being handled is gone: the store has lost it")
                    return
                failing = False
            except StoreError as error:
                if not failing:
                    logger.warning("a lease could not be renewed: %s", error)
                failing = True
