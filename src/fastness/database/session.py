"""The session of a unit of work: an ORM session that refuses what would break the unit's promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import ORMExecuteState, Session

from fastness.database.unit import UnitError

if TYPE_CHECKING:
    from fastness.database.unit import UnitOfWork

_UNIT = "fastness.unit"


class UnitSession(Session):
    """A session that leaves commit and rollback to its unit, writes nothing in a reading one, and never loads lazily."""


def of(unit: UnitOfWork) -> dict[str, Any]:
    """The `info` of a session that belongs to `unit`."""
    return {_UNIT: unit}


def _unit(session: Session) -> UnitOfWork:
    unit: UnitOfWork = session.info[_UNIT]
    return unit


@event.listens_for(UnitSession, "before_commit")
def _refuse_commit(session: Session) -> None:
    unit = _unit(session)
    if not (unit.committing or session.in_nested_transaction()):
        raise UnitError("commit is the unit of work's: leave its `async with` block instead of calling session.commit()")
    if unit.committing and not unit.read_only:
        _refuse_lost(session.connection())


def _refuse_lost(connection: Connection) -> None:
    """Commit nothing that the database would not: it takes a COMMIT without error where there is nothing to commit any more."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        failed, ended = False, not driver.in_transaction
    else:
        status = driver.info.transaction_status.name  # libpq's PQtransactionStatus
        failed, ended = status == "INERROR", status == "IDLE"
    if failed:
        raise UnitError(
            "nothing was committed, because a statement failed and its error was caught: PostgreSQL undoes the whole then. Let "
            "the error pass, or put the part that may fail into `async with uow.savepoint():`"
        )
    if ended:
        raise UnitError(
            "the transaction was ended inside of the block, by a statement or by the database, and only a part of it may be "
            "there: leave COMMIT and ROLLBACK to the unit of work"
        )


@event.listens_for(UnitSession, "before_flush")
def _refuse_flush(session: Session, _: Any, __: Any) -> None:
    if _unit(session).read_only and (session.new or session.dirty or session.deleted):
        raise UnitError("a reading unit cannot write: use `async with uow:`")


@event.listens_for(UnitSession, "do_orm_execute")
def _refuse_execute(state: ORMExecuteState) -> None:
    if state.is_select:
        _refuse_lazy_load(state)
    elif (state.is_insert or state.is_update or state.is_delete) and _unit(state.session).read_only:
        raise UnitError("a reading unit cannot write: use `async with uow:`")


def _refuse_lazy_load(state: ORMExecuteState) -> None:
    if state.lazy_loaded_from is None:
        return
    path = state.loader_strategy_path
    where = path[-1] if path is not None else state.lazy_loaded_from.class_.__name__
    raise UnitError(
        f"{where} was not loaded with its object, and is not loaded later: name it in the query "
        "(`.options(selectinload(...))`), or do not use it here"
    )
