"""In-transaction mode: the answer is stored in the transaction that has the effect, so that there are both or neither.

The request's unit of work is opened before the handler runs; the handler's own blocks join it; it is committed after the answer
is serialised and before it is sent. Whatever dies in between leaves nothing: the lock ends with the transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from fastness.database import UnitError, UnitOfWork
from fastness.database.bounds import BOUNDS, Statement
from fastness.idempotency import records
from fastness.idempotency.answer import Answer
from fastness.idempotency.execution import Claim
from fastness.idempotency.outcome import Outcome

_current: ContextVar[InTransaction | None] = ContextVar("fastness.idempotency", default=None)


class InTransaction:
    """One request whose effect and answer are one transaction.

    Args:
        claim: of this request.
        uow: the request's.
        clock: seconds since the epoch.
    """

    def __init__(self, claim: Claim, uow: UnitOfWork, *, clock: Callable[[], float]) -> None:
        self._claim = claim
        self._uow = uow
        self._clock = clock
        self._token: Token[InTransaction | None] | None = None
        self._handling = False
        self._expired = False
        self.active = False

    async def begin(self) -> Answer | None:
        """See `Execution`."""
        if self._uow.open:
            raise UnitError(
                "the request's unit of work is already open, and whoever opened it would commit it without the answer: "
                "list Idempotent before the dependency that opens it, or let the service open it"
            )
        rows = await self._uow.begin(*self._look())
        self.active = True
        self._token = _current.set(self)
        seen = records.seen(rows)
        self._expired = seen.expired
        if seen.found is not None:
            return self._checked(seen.found)
        if not seen.free:
            raise self._claim.refuse(Outcome.IN_FLIGHT)
        self._handling = True
        return None

    async def settle(self, response: Response) -> Response:
        """See `Execution`."""
        try:
            if response.status_code >= 400:
                self._uow.discard()
                await self._close()
                self._claim.outcomes.count(Outcome.UNDONE)
                return response
            self._save(self._claim.answer(response))
            await self._close()
        except IntegrityError as error:
            other = await self._other()
            if other is None:
                await self.fail(error)
                raise
            return other
        except BaseException as error:
            await self.fail(error)
            raise
        if self._uow.open:
            self._uow.doom("it was still open when its answer was to be sent")
            raise UnitError(
                "the request's unit of work is still open, so it would be committed after its answer is sent: let the service "
                "open and close it, not a dependency with `yield`"
            )
        self._claim.outcomes.count(Outcome.EXECUTED)
        return response

    async def fail(self, error: BaseException) -> None:
        """See `Execution`."""
        if self._handling:
            self._claim.outcomes.count(Outcome.UNDONE)
        if self.active:
            await self._close(error)

    async def leave(self) -> None:
        """See `Execution`."""
        self._uow.discard()
        await self._close()
        self._claim.outcomes.count(Outcome.REPLAYED)

    def _look(self) -> list[Statement]:
        return records.look(self._uow.dialect, self._claim.key, now=self._clock())

    def _save(self, answer: Answer) -> None:
        """Let the record be what is written last, with the commit."""
        uow, claim, now = self._uow, self._claim, self._clock()
        save = records.save(uow.dialect, claim.key, claim.fingerprint, answer, now=now, keep=claim.keep, expired=self._expired)
        uow.finish_with(*save)

    async def _other(self) -> Response | None:
        """The answer of a request that has committed since our look. None: the constraint was not the record's."""
        rows = await self._uow.begin(*self._look())
        self._uow.discard()
        await self._uow.__aexit__(None, None, None)
        found = records.seen(rows).found
        if found is None:
            return None
        answer = self._checked(found)
        self._claim.outcomes.count(Outcome.REPLAYED)
        return answer.replay()

    def _checked(self, found: records.Found) -> Answer:
        fingerprint, answer = found
        if fingerprint != self._claim.fingerprint:
            raise self._claim.refuse(Outcome.MISMATCH)
        return self._claim.stored(answer)

    async def _close(self, error: BaseException | None = None) -> None:
        self.active = False
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
        await self._uow.__aexit__(None if error is None else type(error), error, None)


@event.listens_for(Engine, "commit")
def _refuse_commit(connection: Connection) -> None:
    """No other transaction is committed while a handler runs: it would stand when the request is undone, or run again."""
    execution = _current.get()
    if execution is None or not execution.active:
        return
    bounds = connection.get_execution_options().get(BOUNDS)
    if bounds is not None and bounds.read_only:
        return
    # SQLAlchemy takes a transaction whose commit was tried for ended, and would give the connection back with it open.
    connection.exec_driver_sql("ROLLBACK")
    raise UnitError(
        "a transaction of its own was about to be committed in a handler behind Idempotent, where it would be done again by a "
        "retry: use the request's unit of work (fastness.database.CurrentUnit), leave it to a job, or only read "
        "(`async with uow.reading():`)"
    )
