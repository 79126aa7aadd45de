"""What a key costs: the same POST with and without one, on PostgreSQL, over one kept-alive connection.

Requests are sent one by one, each kind in turn, so that whatever else the machine does hits both alike. The POST is what a
small service does: a body that is validated, one row that is inserted by a service in the request's unit of work, one commit
that waits for the disk.
"""

from __future__ import annotations

import http.client
import os
import statistics
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware import Middleware

from bench.server import Server
from fastness import problems
from fastness.context import ContextMiddleware
from fastness.database import CurrentUnit, Database, UnitOfWork
from fastness.idempotency import Idempotent, IdempotentRoute, records

LIMIT = 1.35
_SERVER = os.environ.get("FASTNESS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


class Base(DeclarativeBase):
    metadata = MetaData()


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    item: Mapped[str] = mapped_column(String(100))
    count: Mapped[int]


class OrderIn(BaseModel):
    item: str
    count: int


class OrderOut(OrderIn):
    id: int


async def place(uow: UnitOfWork, item: str, count: int) -> Order:
    """The service."""
    async with uow:
        order = Order(item=item, count=count)
        uow.session.add(order)
        await uow.session.flush()
    return order


def create(name: str) -> FastAPI:
    """The app on the database `name`."""
    database = Database(_url(name))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        await database.open()
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.run_sync(records.metadata.create_all)
        yield {"database": database}
        await database.close()

    router = APIRouter(route_class=IdempotentRoute)

    @router.post("/orders", status_code=201, dependencies=[Depends(Idempotent(required=False))])
    async def create_order(body: OrderIn, uow: CurrentUnit) -> OrderOut:
        order = await place(uow, body.item, body.count)
        return OrderOut(id=order.id, item=order.item, count=order.count)

    app = FastAPI(
        lifespan=lifespan,
        middleware=[Middleware(ContextMiddleware), Middleware(problems.ProblemMiddleware)],
        exception_handlers=problems.handlers(),
    )
    app.include_router(router, prefix="/v1")
    return app


def measure(*, rounds: int = 2000) -> dict[str, Any]:
    """The figures, as `scripts/bench idempotency --json` prints them: medians in milliseconds, and their ratio."""
    name = f"fastness_bench_{uuid.uuid4().hex}"
    with psycopg.connect(_SERVER, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            server = Server(f"bench.idempotency:create:{name}")
            try:
                plain, keyed = _times(server.port, rounds)
            finally:
                server.stop()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    return {
        "database": "postgresql",
        "requests": 2 * rounds,
        "plain_ms": round(plain * 1000, 3),
        "keyed_ms": round(keyed * 1000, 3),
        "ratio": round(keyed / plain, 3),
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """What does not keep the limit, one line each."""
    ratio = figures["ratio"]
    return (
        [f"a keyed POST takes {ratio} times as long as one without a key, at most {LIMIT} is wanted"] if ratio > LIMIT else []
    )


def _times(port: int, rounds: int) -> tuple[float, float]:
    """Median seconds without a key, and with one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times: dict[bool, list[float]] = {False: [], True: []}
    try:
        for number in range(rounds + 50):
            for keyed in (False, True) if number % 2 else (True, False):
                took = _post(connection, keyed=keyed)
                if number >= 50:  # the first warm up
                    times[keyed].append(took)
    finally:
        connection.close()
    return statistics.median(times[False]), statistics.median(times[True])


def _post(connection: http.client.HTTPConnection, *, keyed: bool) -> float:
    headers = {"Content-Type": "application/json"}
    if keyed:
        headers["Idempotency-Key"] = str(uuid.uuid4())
    started = perf_counter()
    connection.request("POST", "/v1/orders", b'{"item": "a book", "count": 2}', headers)
    response = connection.getresponse()
    body = response.read()
    took = perf_counter() - started
    if response.status != 201 or response.getheader("Idempotent-Replayed"):
        raise RuntimeError(f"the server answered {response.status} {body!r}")
    return took


def _url(name: str) -> str:
    return urlunsplit(urlsplit(_SERVER)._replace(path=f"/{name}"))
