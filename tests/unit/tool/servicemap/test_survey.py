"""The service map: what an endpoint passes through and reaches, in the many ways in which services are put together."""

import pytest

from fastness.tool.check.examples import files, project
from fastness.tool.check.rule import Good
from fastness.tool.errors import CommandError
from fastness.tool.project import Service
from fastness.tool.servicemap.filters import narrowed
from fastness.tool.servicemap.model import Entry, ServiceMap
from fastness.tool.servicemap.survey import survey


def _map(source: str) -> ServiceMap:
    return survey(Service(project(files(Good(source)))), name="shop")


def _only(source: str) -> Entry:
    (entry,) = _map(source).entries
    return entry


LAYERS = """
    # file: app/main.py
    from fastapi import FastAPI
    from app import orders

    def create_app():
        app = FastAPI()
        app.include_router(orders.router, prefix="/v1")
        return app

    # file: app/orders.py
    from typing import Annotated
    from fastapi import APIRouter, Depends
    from app.service import OrderService

    router = APIRouter(prefix="/orders")

    @router.post("/{order_id}/refund")
    async def refund(order_id: int, service: Annotated[OrderService, Depends()]):
        await service.refund(order_id)

    @router.get("")
    async def orders():
        return []

    # file: app/ports.py
    from typing import Protocol

    class Orders(Protocol):
        async def save(self, order: int) -> None: ...

    # file: app/service.py
    import httpx
    from fastapi import Depends
    from app.ports import Orders
    from app.repository import orders
    from app.settings import settings

    class OrderService:
        def __init__(self, orders: Orders = Depends(orders)) -> None:
            self._orders: Orders = orders
            self._client = httpx.AsyncClient(base_url=settings.payments_url)

        async def refund(self, order: int) -> None:
            await self._client.post("/refunds")
            await self._orders.save(order)

    # file: app/settings.py
    from pydantic_settings import BaseSettings

    class Settings(BaseSettings):
        payments_url: str

    settings = Settings()

    # file: app/repository.py
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    from sqlalchemy.orm import DeclarativeBase

    engine = create_async_engine("postgresql+psycopg://db/shop")

    class Base(DeclarativeBase): ...

    class Order(Base):
        __tablename__ = "orders"

    class SqlOrders:
        def __init__(self, session: AsyncSession) -> None:
            self._session = session

        async def save(self, order: int) -> None:
            await self._session.execute(select(Order))

    def orders() -> SqlOrders:
        return SqlOrders(AsyncSession(engine))
"""


def test_layers() -> None:
    """From a factory's router through a service and the class that has the form of a port, to database and upstream."""
    quiet, entry = _map(LAYERS).entries
    assert (quiet.title, quiet.reaches) == ("GET /v1/orders", ())
    assert entry.title == "POST /v1/orders/{order_id}/refund"
    assert [component.name for component in entry.through] == ["OrderService", "SqlOrders"]
    assert [str(resource) for resource in entry.resources] == ["database postgresql", "http settings.payments_url"]
    assert entry.tables == ["Order"]
    database = next(reach for reach in entry.reaches if reach.resource.kind == "database")
    assert [step.function for step in database.steps] == ["OrderService.refund", "SqlOrders.save"]
    assert str(database.place) == "app/repository.py:17"


@pytest.mark.parametrize(
    ("body", "resource"),
    [
        ("import httpx\n    httpx.get('https://api.example.org/v1/x')", "http api.example.org"),
        ("import httpx\n    httpx.request('GET', f'https://{x}.example.org/')", "http address given to main"),
        ("import httpx\n    httpx.get(f'https://api.{x}.example.org/')", "http api.*"),
        ("import httpx\n    httpx.get(x)", "http address given to main"),
        ("import os, requests\n    requests.get(os.environ['PAY'] + '/x')", "http $PAY"),
        ("import os, requests\n    u = os.getenv('PAY')\n    requests.get(f'{u}/x')", "http $PAY"),
        ("import requests\n    requests.post(CONFIG.PAY_URL + '/x')", "http CONFIG.PAY_URL"),
        ("from fastness.outbound import Upstream\n    Upstream('payments', 'https://x').get('/')", "http payments"),
        ("import stripe\n    stripe.Charge.create()", "http stripe"),
        ("import boto3\n    boto3.client('s3').put_object()", "storage s3"),
        ("import redis\n    redis.from_url('redis://x').get('a')", "cache redis"),
        ("import subprocess\n    subprocess.run(['ffmpeg', x])", "process ffmpeg"),
        ("open('x')", "files local files"),
        ("import smtplib\n    smtplib.SMTP('x')", "mail smtp"),
        ("import sqlite3\n    sqlite3.connect('x')", "database sqlite"),
        ("from starlette.concurrency import run_in_threadpool as run\n    run(work)", "files local files"),
        ("import threading\n    threading.Thread(target=work).start()", "files local files"),
        ("with Held(): pass", "files local files"),
    ],
)
def test_resources_have_names(body: str, resource: str) -> None:
    """A resource is called by its host, its setting, its service or its program; work that is handed over counts."""
    entry = _only(
        f"""
        # file: app/main.py
        from fastapi import FastAPI
        from elsewhere import CONFIG
        app = FastAPI()
        def work(): open("y")
        class Held:
            def __enter__(self): return self
            def __exit__(self, *_): work()
        @app.get("/")
        def root(x: str):
            {body.replace(chr(10), chr(10) + "        ")}
        """
    )
    assert [str(one) for one in entry.resources] == [resource]


@pytest.mark.parametrize(
    "body",
    [
        "import httpx\n    httpx.AsyncClient(base_url='https://x')",
        "from sqlalchemy import select\n    select(1)",
        "import stripe\n    stripe.Webhook.construct_event(x)",
        "lambda: open('x')",
        "str(open)",
        "print('httpx.get(x)')",
    ],
)
def test_what_stays_inside(body: str) -> None:
    """Making a client, building a statement, checking a signature and naming a function reach nothing."""
    entry = _only(
        f"""
        from fastapi import FastAPI
        app = FastAPI()
        @app.get("/")
        def root(x: str):
            {body.replace(chr(10), chr(10) + "        ")}
        """
    )
    assert not entry.reaches


def test_jobs_middleware_and_dependencies_are_entries_and_ways() -> None:
    """A job has its own ways; who has it run reaches it. Middleware is an entry; a dependency's way says so."""
    drawn = _map(
        """
        from celery import shared_task
        from fastapi import Depends, FastAPI
        import redis
        import requests

        cache = redis.Redis()

        @shared_task
        def bill(order): requests.post("https://pay.example.org/")

        app = FastAPI()

        def limited(): cache.incr("x")

        @app.middleware("http")
        async def count(request, call_next):
            cache.incr("requests")

        @app.post("/orders", dependencies=[Depends(limited)])
        def order(): bill.delay(1)
        """
    )
    order, job, middleware = drawn.entries
    assert [str(one) for one in order.resources] == ["cache redis", "jobs bill"]
    assert [reach.by for reach in order.reaches if reach.resource.kind == "cache"] == ["limited"]
    assert (job.title, [str(one) for one in job.resources]) == ("job bill", ["http pay.example.org"])
    assert (middleware.title, middleware.resources) == ("middleware count", [order.resources[0]])
    paying = narrowed(drawn, end="pay.example.org")
    assert [entry.title for entry in paying.entries] == ["POST /orders", "job bill"]


def test_controllers_and_nested_routers() -> None:
    """Methods of a class that is a controller, and a router that is included twice, under every prefix."""
    drawn = _map(
        """
        from fastapi import APIRouter, FastAPI
        from fastapi_utils.cbv import cbv

        inner, outer, app = APIRouter(), APIRouter(prefix="/shop"), FastAPI()

        @cbv(inner)
        class Items:
            @inner.get("/items")
            def items(self): return self.read()

            def read(self): return open("items").read()

        outer.include_router(inner)
        app.include_router(outer, prefix="/v1")
        app.include_router(outer, prefix="/v2")
        """
    )
    (entry,) = drawn.entries
    assert entry.paths == ("/v1/shop/items", "/v2/shop/items")
    assert [str(one) for one in entry.resources] == ["files local files"]
    assert entry.through == []


def test_what_is_not_followed_is_said() -> None:
    """An unknown object's method, a path that is told at run time and a file that does not parse are gaps of the map."""
    drawn = _map(
        """
        # file: app/broken.py
        def (
        # file: app/main.py
        import os
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        lost = APIRouter()

        @app.get(os.environ["PATH_"])
        def told(gateway): gateway.charge(); gateway.get("x")

        @lost.get("/lost")
        def nowhere(): ...
        """
    )
    assert [(gap.what.split(":")[0], gap.place.path, gap.place.line) for gap in drawn.gaps] == [
        ("the file is not read", "app/broken.py", 1),
        ("a part of the path of told is told at run time", "app/main.py", 8),
        ("no `include_router` of the router of nowhere is found", "app/main.py", 11),
        ("what `gateway.charge` is cannot be told", "app/main.py", 8),
    ]


@pytest.mark.parametrize(
    "begin",
    [
        "POST /v1/orders/{order_id}/refund",
        "post /v1/orders/{id}/refund",
        "/v1/orders/42/refund",
        "/v1/orders/42/refund/?source=log",
        "/v1/*/refund",
        "refund",
    ],
)
def test_from(begin: str) -> None:
    """An endpoint is found by how it is declared, by a request to it, by a pattern and by its function."""
    assert [entry.function for entry in narrowed(_map(LAYERS), begin=begin).entries] == ["refund"]


@pytest.mark.parametrize("end", ["http", "payments", "HTTP settings.payments_url", "order", "postgresql"])
def test_to(end: str) -> None:
    """A resource is found by its kind, its name or a part of it, and a table too; other ways are left out."""
    (entry,) = narrowed(_map(LAYERS), end=end).entries
    assert entry.function == "refund"
    assert 0 < len(entry.reaches) < 3


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ({"begin": "GET /v1/order"}, "did you mean GET /v1/orders"),
        ({"begin": "DELETE /v1/orders"}, "did you mean"),
        ({"begin": "GET  "}, "it has GET /v1/orders"),
        ({"end": "kafka"}, "it has database postgresql, http settings.payments_url"),
        ({"end": " "}, "it has"),
    ],
)
def test_what_is_not_there(asked: dict[str, str], hint: str) -> None:
    """A name that the map does not have is answered with those that it has."""
    with pytest.raises(CommandError, match=hint):
        narrowed(_map(LAYERS), **asked)


def test_no_way_is_no_error() -> None:
    """Both are there, and nothing leads from one to the other: the map is empty."""
    assert not narrowed(_map(LAYERS), begin="GET /v1/orders", end="http").entries
