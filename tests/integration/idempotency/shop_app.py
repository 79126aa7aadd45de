"""The service that the crash tests start in a process of its own. Where a request says so, it kills itself like `kill -9`."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from sqlalchemy import Engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware import Middleware

from fastness import idempotency, problems
from fastness.context import ContextMiddleware
from fastness.database import CurrentUnit, Database, PoolSize
from fastness.idempotency import Idempotent, IdempotentRoute, records

point: ContextVar[str | None] = ContextVar("point", default=None)
database = Database(os.environ["DATABASE_URL"], pool=PoolSize(wait=60))


def die(at: str) -> None:
    """End the process here, with nothing flushed and nobody told, if the request wants that."""
    if point.get() == at:
        os.kill(os.getpid(), signal.SIGKILL)


class DieBeforeResponse:
    """Outermost: what passes here goes to the server, so that the death lies between the commit and the first byte."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            die("before the response")
            await send(message)

        if scope["type"] == "http":
            point.set(dict(scope["headers"]).get(b"x-die", b"").decode())
        await self.app(scope, receive, sending if scope["type"] == "http" else send)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


# Of the class, which hears of it before PostgreSQL does.
event.listen(Engine, "commit", lambda _: die("before the commit"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    await database.open()
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.run_sync(records.metadata.create_all)
    yield {"database": database}
    await database.close()


router = APIRouter(route_class=IdempotentRoute)


@router.post("/orders", status_code=201, dependencies=[Depends(Idempotent())])
async def create(body: dict[str, str], uow: CurrentUnit) -> dict[str, int]:
    """Take an order."""
    async with uow:
        order = Order(item=body["item"])
        uow.session.add(order)
        await uow.session.flush()
        die("in the handler")
    return {"id": order.id}


@router.get("/orders")
async def count(request: Request, uow: CurrentUnit) -> int:
    """How many orders there are."""
    async with uow.reading():
        return len((await uow.session.execute(Order.__table__.select())).all())


app = FastAPI(
    lifespan=lifespan,
    middleware=[Middleware(DieBeforeResponse), Middleware(ContextMiddleware), Middleware(problems.ProblemMiddleware)],
    exception_handlers=problems.handlers(),
)
app.include_router(router)
idempotency.verify(app)
