"""A coroutine makes a call that blocks the event loop.

While a blocking call waits, the process serves nobody else: a query of 50 ms inside `async def` limits a worker to twenty
requests per second, whatever their number of connections, and a slow upstream stops the health check too. The call is
rarely in the endpoint itself; most are two or three functions away, behind a service or a dependency. What start-up leaves
on the loop, its tasks and the jobs of an async scheduler, is looked at as well.

Declare the endpoint with `def`, and FastAPI runs it in a thread; or use an async library (`AsyncSession`,
`httpx.AsyncClient`); or hand the call to a thread with `asyncio.to_thread`. Small local files are reported as information.
When the app is probed, a watch tells which lines really stopped its loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from fastness.tool.boot import Probed
from fastness.tool.boot.probed import Called
from fastness.tool.check.knowledge.facts.callers import is_called_by_fastapi_alone
from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.knowledge.running import blocking, loop
from fastness.tool.check.repair import Edit, Repair, aligned, function_at, span
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Evidence, Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Chain, Outward
from fastness.tool.project.source.symbols import Function


@rule(
    severity=Severity.ERROR,
    practice="4.1",
    fix=Fix.REVIEW,
    help="declare it with `def` when nothing in it is awaited, else use an async library or `asyncio.to_thread`",
)
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    entries = loop.entries(service)
    functions = [entry.function for entry in entries]
    chains = service.graph.nearest(functions, partial(_kind, service), through=partial(loop.runs_here, service))
    for entry in entries:
        reached = chains.get(entry.function)
        if reached:
            yield _fault(entry, reached)
    if served is not None and probed is not None:
        reported = {entry.function for entry in entries if chains.get(entry.function)}
        yield from _stalls(served, probed, reported)


def _stalls(served: Served, probed: Probed, reported: set[Function]) -> Iterator[Found]:
    """What stopped the loop while requests ran, and is not known from the sources."""
    for called in probed.called:
        stack = _own(served, called)
        if not called.stall or not stack or reported & {function for function, _ in stack}:
            continue
        function, line = next((step for step in reversed(stack) if step[0].is_async), stack[-1])
        reported.add(function)
        evidence = [Evidence(one.module.path, at, f"{one.qualified} runs here") for one, at in stack if one is not function]
        message = (
            f"async {function.qualified} stopped the event loop for {called.stall:.1f} s, at line {line}, "
            f"when {called.route.title} was called"
        )
        yield found(function, function.node, message, *evidence, source="probe")


def _own(served: Served, called: Called) -> list[tuple[Function, int]]:
    """The functions of the project that were on the stack, outermost first, with the line each was at."""
    places = [frame.place for frame in called.stack if frame.place is not None]
    return [(function, place.line) for place in places if (function := served.around(place)) is not None]


def _kind(service: Service, call: Outward) -> str | None:
    kind = None if call.site.awaited else blocking.of(call)
    return kind if kind is not None and not loop.is_first(service, call.site) else None


def _fault(entry: loop.Entry, reached: dict[str, Chain]) -> Found:
    kinds = [kind for kind in blocking.ORDER if kind in reached]
    worst = reached[kinds[0]]
    evidence = [step for kind in kinds for step in told(reached[kind], f"blocks: {kind}")]
    way = f" through {worst.edges[-1].target.qualified}" if worst.edges else ""
    message = (
        f"async {entry.role} {entry.function.qualified} blocks the event loop: "
        f"{blocking.display(worst.last.target.path)} ({kinds[0]}){way}"
    )
    severity = Severity.INFO if kinds == [blocking.FILE] else None
    return found(entry.function, entry.function.node, message, *dict.fromkeys(evidence), count=entry.routes, severity=severity)


def fix(service: Service, finding: Finding) -> Repair | str | None:
    """`async def` to `def`, where FastAPI alone calls the function and nothing in it needs the loop."""
    function = function_at(service, finding)
    if function is None:
        return None
    if loop.needs_loop(service, function):
        return "something in it needs the event loop"
    if not is_called_by_fastapi_alone(service, function):
        return "not only FastAPI calls it, as an endpoint or a dependency"
    module, (start, _) = function.module, span(function.module, function.node)
    written = _ASYNC.match(module.text, start)
    if written is None:
        return None
    return Repair((Edit(module.path, start, written.end(), ""), *aligned(function, written.end() - start)))


_ASYNC = re.compile(r"async[ \t]+(?=def\b)")


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        import requests
        app = FastAPI()

        @app.get("/")
        async def root():  # found
            return requests.get("https://example.org").json()
    """),
    Bad("""
        # file: app/db.py
        from sqlalchemy import create_engine
        from sqlalchemy.orm import sessionmaker

        SessionLocal = sessionmaker(bind=create_engine("sqlite://"))

        def get_db():
            db = SessionLocal()
            try:
                yield db
            finally:
                db.close()
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from app.db import get_db
        app = FastAPI()

        @app.get("/users")
        async def users(db=Depends(get_db)):  # found
            return db.query(1).all()
    """),
    Bad("""
        from typing import Annotated
        from fastapi import APIRouter, Depends, FastAPI
        from sqlmodel import Session, create_engine

        engine = create_engine("sqlite://")

        def get_session():
            with Session(engine) as session:
                yield session

        SessionDep = Annotated[Session, Depends(get_session)]

        class Repository:
            def __init__(self, session: SessionDep):
                self.session = session

            def all(self):
                return self.session.exec("select 1").all()

        router = APIRouter()

        async def current_user(session: SessionDep):  # found
            return session.get(int, 1)

        @router.get("/a")
        async def a(session: SessionDep):  # found
            return Repository(session).all()

        @router.get("/b")
        async def b(user=Depends(current_user)):
            return user

        app = FastAPI()
        app.include_router(router)
    """),
    Bad("""
        # file: app/main.py
        import http.client
        import threading
        from concurrent import futures
        import openai
        from fastapi import FastAPI
        from fastapi_sqlalchemy import db
        from app.stock import Stock, amount
        app = FastAPI()

        @app.get("/amounts/{item}")
        async def one(item: int):  # found
            return amount(db.session, item)

        @app.get("/amounts")
        async def several():  # found
            return Stock(session=db.session).all()

        @app.get("/deliveries")
        async def deliveries():  # found
            return Stock(session=None).delivered()

        @app.get("/answers")
        async def answers():  # found
            return openai.ChatCompletion.create(model="m", messages=[])

        @app.get("/pages")
        async def pages():  # found
            connection = http.client.HTTPSConnection("example.org", timeout=5)
            connection.request("GET", "/")

        @app.get("/joined")
        async def joined():  # found
            thread = threading.Thread(target=print)
            thread.start()
            thread.join()

        @app.get("/waited")
        async def waited(tasks: list):  # found
            futures.wait(tasks)

        @app.get("/result")
        async def result():  # found
            return futures.ThreadPoolExecutor().submit(print).result()
        # file: app/stock.py
        import requests
        from abc import ABC
        from typing import Generic, TypeVar

        T = TypeVar("T")

        def amount(session, item):
            return looked_up(session, item)

        def looked_up(session, item):
            return session.get(int, item)

        class Repository(ABC, Generic[T]):
            def __init__(self, session):
                self.session = session

            def all(self):
                return self.session.query(int).all()

        class Delivered:
            def delivered(self):
                return requests.get("https://example.org/deliveries", timeout=5).json()

        class Stock(Repository[int], Delivered):
            def __init__(self, session):
                super().__init__(session)
    """),
    Bad("""
        import requests
        from fastapi import FastAPI
        app = FastAPI()

        class Prices:
            def __init__(self):
                self.prices = None

            def all(self):
                if self.prices is None:
                    self.prices = requests.get("https://example.org/prices", timeout=5).json()
                return self.prices

        @app.get("/prices")
        async def prices():  # found
            return Prices().all()

        class Texts:
            model = "small"
            models = None

            def load(self, model):
                if self.model != model:
                    self.model = model
                    requests.get(f"https://example.org/{model}", timeout=5)

            def names(self):
                if self.models:
                    return self.models
                return requests.get("https://example.org/models", timeout=5).json()

        texts = Texts()

        @app.get("/texts/{model}")
        async def made(model: str):  # found
            texts.load(model)

        @app.get("/models")
        async def models():  # found
            return texts.names()
    """),
    Bad(
        """
        from time import process_time
        from fastapi import FastAPI
        app = FastAPI()

        def work(seconds: float) -> int:
            end, steps = process_time() + seconds, 0
            while process_time() < end:
                steps += 1
            return steps

        @app.get("/long")
        async def long() -> int:  # found
            return work(0.4)

        @app.get("/short")
        async def short() -> int:
            return work(0.001)

        @app.get("/thread")
        def thread() -> int:
            return work(0.4)
    """,
        booted=True,
    ),
    Good(
        """
        import asyncio
        import requests
        from functools import lru_cache
        from fastapi import Depends, FastAPI
        from fastapi.concurrency import run_in_threadpool
        app = FastAPI()

        def fetch():
            return requests.get("https://example.org")

        @lru_cache
        def settings():
            return open("settings.json").read()

        @app.get("/threads")
        async def threads():
            settings()
            await run_in_threadpool(fetch)
            await asyncio.to_thread(lambda: fetch())
            await asyncio.get_running_loop().run_in_executor(None, fetch)

        @app.get("/plain")
        def plain():
            return fetch()

        def session():
            return fetch()

        @app.get("/sync-dependency")
        async def sync_dependency(value=Depends(session)):
            return value
    """,
        "threads, cached initialisers, plain endpoints and plain dependencies do not hold the loop",
    ),
    Good(
        """
        from fastapi import Depends, FastAPI
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
        from sqlalchemy.orm import sessionmaker

        engine = create_async_engine("sqlite+aiosqlite://")
        Old = sessionmaker(engine, class_=AsyncSession)

        async def get_db():
            async with Old() as session:
                yield session

        app = FastAPI()

        @app.get("/")
        async def root(db=Depends(get_db)):
            await db.execute("select 1")
            await db.commit()
    """,
        "an AsyncSession from the plain sessionmaker is still an AsyncSession",
    ),
    Good(
        """
        import boto3
        import psycopg2
        import requests
        from fastapi import FastAPI
        app = FastAPI()
        keys = None

        class Store:
            _instance = None

            def __init__(self):
                self.connection = psycopg2.connect("dbname=orders")

            @classmethod
            def get(cls):
                if cls._instance is None:
                    cls._instance = cls()
                return cls._instance

        def load_keys():
            global keys
            if keys:
                return keys
            keys = requests.get("https://example.org/keys", timeout=5).json()
            return keys

        @app.get("/keys")
        async def read():
            return Store.get().connection, load_keys()

        @app.get("/upload-url")
        async def url():
            return boto3.client("s3").generate_presigned_url("put_object")

        @app.get("/memory")
        async def memory():
            return open("/proc/self/status").read()
    """,
        "what is made for the first request is there for the others; signing needs no network, the kernel's files no disk",
    ),
]
