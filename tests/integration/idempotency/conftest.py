"""A shop on a real database, and ways to send it orders."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware import Middleware

from fastness import openapi, problems
from fastness.context import ContextMiddleware, current
from fastness.database import UNAVAILABLE, Database, PoolSize, UnitOfWork
from fastness.idempotency import Idempotent, IdempotentRoute, records
from fastness.problems import ProblemMiddleware
from fastness.testing import asgi


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


async def place(uow: UnitOfWork, item: str) -> int:
    """The service: it opens and closes the unit of work, and gives the number of the order."""
    async with uow:
        order = Order(item=item)
        uow.session.add(order)
        await uow.session.flush()
        return order.id


async def login(user: str | None = None, tenant: str | None = None) -> None:
    """Stands for authentication, which writes to the context."""
    context = current()
    assert context is not None
    context.principal, context.tenant = user, tenant


class Shop:
    """An app with one router of idempotent routes at `/v1/orders`.

    Attributes:
        router: where a test adds its endpoints.
        place: the service that takes an order.
        order: what it makes.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state
        self.router = APIRouter(prefix="/orders", route_class=IdempotentRoute)
        self.place = place
        self.order = Order
        self._app: FastAPI | None = None

    @property
    def app(self) -> FastAPI:
        """Made with the first request, when the test has added its endpoints."""
        if self._app is None:
            self._app = FastAPI(
                middleware=[Middleware(ContextMiddleware), Middleware(ProblemMiddleware)],
                exception_handlers=problems.handlers({KeyError: 404, **dict.fromkeys(UNAVAILABLE, 503)}),
            )
            self._app.openapi = openapi.document(self._app)
            self._app.include_router(self.router, prefix="/v1")
        return self._app

    def post(self, path: str = "", guard: Idempotent | None = None, **options: Any) -> Callable[[Any], Any]:
        """Declare an endpoint behind authentication and `guard`."""
        guards = [Depends(login), Depends(guard or Idempotent())]
        return self.router.post(path, status_code=201, dependencies=guards, **options)

    async def send(
        self, body: Any = None, *, key: str | None = None, path: str = "", query: str = "", headers: Any = (), **options: Any
    ) -> asgi.Response:
        """Send a POST with a key, by default a new one; "" sends none."""
        lines = [*headers]
        if key != "":
            lines.append(("idempotency-key", key or uuid.uuid4().hex))
        if not isinstance(body, bytes):
            lines.append(("content-type", "application/json"))
            body = json.dumps(body or {"item": "book"}).encode()
        return await asgi.request(
            self.app,
            f"/v1/orders{path}",
            method="POST",
            query=query,
            body=body,
            headers=lines,
            state=self.state,
            time_limit=60,
            **options,
        )


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    made = Database(url, pool=PoolSize(kept=5, overflow=15, wait=60))
    await made.open()
    async with made.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.run_sync(records.metadata.create_all)
    yield made
    await made.close()


async def _count(database: Database) -> int:
    async with database.unit().reading() as uow:
        return await uow.session.scalar(select(func.count()).select_from(Order)) or 0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the tables of the shop, and of its answers."""
    async with _database(database_url) as made:
        yield made


@pytest.fixture
def shop(database: Database) -> Shop:
    """A shop without endpoints."""
    return Shop({"database": database})


@pytest.fixture
def orders(database: Database) -> Callable[[], Awaitable[int]]:
    """How many orders there are."""
    return lambda: _count(database)


@pytest.fixture
def make_shop() -> Any:
    """A shop on the database of a URL, and how many orders it has."""

    @asynccontextmanager
    async def make(url: str) -> AsyncIterator[tuple[Shop, Callable[[], Awaitable[int]]]]:
        async with _database(url) as made:
            yield Shop({"database": made}), lambda: _count(made)

    return make


@pytest.fixture
def bare() -> Callable[..., Shop]:
    """A shop without a database."""
    return lambda **state: Shop(state)
