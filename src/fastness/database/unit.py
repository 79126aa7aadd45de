"""The unit of work: one transaction that a service opens and closes. What is stored in it belongs to repositories.

async with uow:                 # commits at the end of the block, rolls back when it raises
    uow.session.add(order)
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import SessionTransaction

from fastness import context
from fastness.database.bounds import BOUNDS, Bounds, Statement

if TYPE_CHECKING:
    from fastness.database.resource import Database

logger = logging.getLogger("fastness.database")

T = TypeVar("T")

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

# https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html: serialization failure, deadlock.
_REPEATABLE = {"40001", "40P01"}


class UnitError(RuntimeError):
    """A unit of work was used in a way that would lose or half do something. A fault of the code, not of the request."""


class UnitOfWork:
    """One transaction at a time, on a session of its own. It holds nothing until it is entered, and can be entered again.

    Units join: a block inside of a block of the same unit is part of the outer one, which alone commits. When an inner block
    raises, what it did is undone with the whole: an outer block that catches the error and ends well raises `UnitError`
    rather than commit half. Where a part may fail alone, use `savepoint`.

    Each statement is limited to what is left of the request's deadline. A unit belongs to one task.

    Args:
        database: where.
        isolation: PostgreSQL's isolation level, by default what the server is set to; SQLite is always serializable.
    """

    def __init__(self, database: Database, *, isolation: Isolation | None = None) -> None:
        self._database = database
        self._isolation = isolation
        self._session: AsyncSession | None = None
        self._transaction: SessionTransaction | None = None
        self._depth = 0
        self._bounds = Bounds()
        self._task: asyncio.Task[object] | None = None
        self._doom: str | None = None
        self._discarded = False
        self._on_commit: list[Callable[[], object]] = []
        self.committing = False

    @property
    def session(self) -> AsyncSession:
        """The session of the transaction that is open.

        Raises:
            UnitError: none is.
        """
        if self._session is None:
            raise UnitError("the unit of work is not open: use it inside of `async with uow:` or `async with uow.reading():`")
        return self._session

    @property
    def open(self) -> bool:
        """Whether a transaction is open."""
        return self._session is not None

    @property
    def read_only(self) -> bool:
        """Whether the transaction that is open only reads."""
        return self._bounds.read_only

    @property
    def dialect(self) -> str:
        """`postgresql` or `sqlite`."""
        return self._database.dialect

    async def __aenter__(self) -> Self:
        await self._enter(read_only=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit(error)

    async def begin(self, *first: Statement) -> list[Any]:
        """Enter the outermost block, and execute `first` in it: on PostgreSQL all in one round trip. Leave it by `__aexit__`.

        Returns:
            Of each statement that gives rows, the first one, None where there is none.

        Raises:
            UnitError: the unit is open.
        """
        if self._depth:
            raise UnitError("the unit of work is open already, and cannot begin again")
        await self._enter(read_only=False, first=first)
        return self._bounds.rows

    def finish_with(self, *last: Statement) -> None:
        """Execute `last` after everything else, and commit nothing when that fails: on PostgreSQL all in one round trip.

        A listener to the engine's `commit` that was added after the engine was made is told when PostgreSQL has committed.
        """
        self.session  # noqa: B018 - raises outside of a block
        self._bounds.last = last

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Self]:
        """A transaction that only reads: on SQLite it waits for no writer. Inside of a writing block it joins that.

        Writing raises `UnitError`, or the server's refusal where the session cannot see it.
        """
        await self._enter(read_only=True)
        try:
            yield self
        except BaseException as error:
            await self._exit(error)
            raise
        else:
            await self._exit(None)

    async def run(self, work: Callable[[Self], Awaitable[T]], *, attempts: int = 3) -> T:
        """Run `work(uow)` in a block, and again when the database gave up on it: a serialization failure or a deadlock.

        `work` must be repeatable: nothing but this transaction may have noticed an attempt. Inside of an open block there is
        one attempt, because the outer block would have to be repeated too.

        Args:
            work: what to do.
            attempts: how often at most; also ends with the request's deadline.
        """
        if self._depth:
            async with self:
                return await work(self)
        for attempt in range(1, attempts):
            try:
                async with self:
                    return await work(self)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _REPEATABLE:
                    raise
                pause = random.uniform(0, 0.01 * 2**attempt)  # noqa: S311 - spreads competitors, hides nothing
                remaining = _remaining()
                if remaining is not None and remaining <= pause:
                    raise
                self._database.repeated()
            await asyncio.sleep(pause)
        async with self:
            return await work(self)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Self]:
        """A part that may fail alone: when the block raises, what it did is undone and the unit goes on."""
        async with self.session.begin_nested():
            depth, self._depth = self._depth, 1
            doom, callbacks = self._doom, len(self._on_commit)
            try:
                yield self
            except BaseException:
                self._doom = doom
                del self._on_commit[callbacks:]
                raise
            finally:
                self._depth = depth

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call `callback()` once the transaction is committed, and not at all when it is rolled back.

        For what cannot be taken back, such as counting. A process that dies in between does not call it: what must happen
        is a job (`fastness.jobs`). An error in it is logged.
        """
        self.session  # noqa: B018 - raises outside of a block
        self._on_commit.append(callback)

    def discard(self) -> None:
        """Roll back at the end of the outermost block, although it ends well."""
        self._discarded = True

    def doom(self, reason: str) -> None:
        """Refuse to commit at the end of the outermost block, because a part of the whole is lost."""
        self._doom = self._doom or reason

    async def _enter(self, *, read_only: bool, first: Sequence[Statement] = ()) -> None:
        task = asyncio.current_task()
        if self._depth:
            if task is not self._task:
                raise UnitError("the unit of work is open in another task: give each task a unit of its own")
            if self._bounds.read_only and not read_only:
                raise UnitError("a reading unit cannot write: open the outer block with `async with uow:`")
            self._depth += 1
            return
        self._bounds = bounds = Bounds(isolation=self._isolation, read_only=read_only, timeout=_remaining(), first=first)
        session = self._database.session(self)
        self._database.hold(task)
        asked_at = perf_counter()
        try:
            await session.connection(execution_options={BOUNDS: bounds})
        except BaseException:
            self._database.release(task)
            await session.close()
            raise
        self._database.waited(bounds.connected_at - asked_at)
        self._session, self._task, self._depth = session, task, 1
        self._transaction = session.sync_session.get_transaction()
        self._doom, self._discarded, self._on_commit = None, False, []

    async def _exit(self, error: BaseException | None) -> None:
        session = self.session
        if self._depth > 1:
            self._depth -= 1
            try:
                # As an outermost block would: errors of what it wrote are its own, and generated ids are there afterwards.
                if error is None and (session.new or session.dirty or session.deleted):
                    await session.flush()
            except BaseException as failure:
                error = failure
                raise
            finally:
                if error is not None:
                    self.doom(f"an inner block raised {type(error).__name__}, which was then caught")
            return
        try:
            if error is None and not self._discarded:
                begun = self._transaction
                if begun is None or not begun.is_active or session.sync_session.get_transaction() is not begun:
                    self.doom("the transaction was rolled back inside of the block, by the session or by hand")
                if self._doom is not None:
                    raise UnitError(
                        f"nothing was committed, because half of it is missing: {self._doom}. Let the error pass, "
                        "or put the part that may fail into `async with uow.savepoint():`"
                    )
                self.committing = True
                await session.commit()
        finally:
            self.committing = False
            self._database.release(self._task)
            self._session, self._transaction, self._task, self._depth = None, None, None, 0
            callbacks, self._on_commit = self._on_commit, []
            await session.close()
        if error is None and not self._discarded:
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    logger.exception("what was to follow a commit failed; the commit stands")


def _remaining() -> float | None:
    request = context.current()
    return None if request is None else request.remaining()
