"""A connection pool or client is made on import, and nobody closes it; or for each request.

It belongs to whichever event loop first uses it, is shared by processes that fork after the import, is made by every test and
script that imports the module, and its connections are cut instead of closed when the process ends. One that a request makes
is always empty: each request opens connections, and those that nothing disposes of stay open.

Open it in the lifespan and close it there, in reverse order.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.facts.imports import is_imported
from fastness.tool.check.knowledge.lifetimes import per_request, resources
from fastness.tool.check.rule import Bad, Found, Good, collapse, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Binding, Kind

_LOGGERS = frozenset({"getLogger", "get_logger"})


@rule(severity=Severity.WARNING, practice="2.1", help="open it in the lifespan, and close it after the `yield`")
def check(service: Service) -> Iterator[Found]:
    passing: list[Found] = []
    for function in reach.from_requests(service):
        for node, told, passes in service.notes.search("resources", function, partial(per_request.made, service, function)):
            if passes:
                passing.append(found(function, node, told, severity=Severity.INFO))
            else:
                yield found(function, node, told)
    yield from collapse(sorted(passing, key=lambda one: (one.path, one.line)), _what_is_opened)


def _what_is_opened(one: Found) -> tuple[str, str]:
    return one.path, one.message.rpartition(" opens ")[2]


def each(module: Module, service: Service) -> Iterator[Found]:
    for function, node, what in resources.cached(service, module):
        yield found(function, node, f"{function.qualified} keeps {per_request.named(what)}, and nothing closes it")
    if not module.makers - _LOGGERS:
        return
    for name, bindings in module.bindings.items():
        faults = (one for binding in bindings if (one := _at_import(service, module, name, binding)) is not None)
        fault = next(faults, None)  # the branches of an `if` make one of them
        if fault is not None and not _is_script(service, module):
            yield fault


def _at_import(service: Service, module: Module, name: str, binding: Binding) -> Found | None:
    """What importing the module makes and nothing closes, under a name of its own or as a part of an object."""
    if binding.kind is not Kind.ASSIGN or binding.value is None or module.only_as_script(binding.node):
        return None
    made = list(resources.under(binding.value))
    what = next((one for value in made if (one := resources.resource(service, value, module))), None)
    if what is not None:
        when = "on demand" if _is_late(module, name, binding.node) else "when the module is imported"
        message = f"{name}, {per_request.named(what)}, is made {when}, and nothing closes it"
        return None if resources.is_closed(service, name, module) else found(module, binding.node, message)
    for making in (function for value in made for function in resources.constructors(service, value, module)):
        for part, call in resources.parts(making):
            what = resources.resource(service, call, making)
            if what is not None and not resources.is_closed(service, part):
                message = f"{name} makes {part}, {per_request.named(what)}, when the module is imported, and nothing closes it"
                return found(module, binding.node, message, proof(making, call, "made here"))
    return None


def _is_script(service: Service, module: Module) -> bool:
    """A one-off that stands beside the service: nothing imports it, and nothing in it is registered anywhere."""
    if not service.apps or any(function.decorators for function in module.functions) or module.classes:
        return False
    if any(site.name == "include_router" or service.is_router(site.node, site.scope) for site in module.calls):
        return False
    return not is_imported(service.project, module)


def _is_late(module: Module, name: str, node: ast.AST) -> bool:
    """A function gives the module's name its value."""
    line = getattr(node, "lineno", 0)
    return any(name in f.globals and f.line <= line <= (f.node.end_lineno or 0) for f in module.functions)


EXAMPLES = [
    Bad("""
        import httpx
        import redis.asyncio as redis
        from sqlalchemy.ext.asyncio import create_async_engine
        client = httpx.AsyncClient()  # found
        cache = redis.from_url("redis://localhost")  # found
        engine = create_async_engine("sqlite+aiosqlite://")  # found
    """),
    Bad("""
        import sys
        from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
        def connected(url: str) -> AsyncEngine:
            try:
                return create_async_engine(url)
            except ValueError:
                sys.exit(1)
        engine = connected("postgresql+asyncpg://db/orders")  # found
        Local = async_sessionmaker(bind=create_async_engine("postgresql+asyncpg://audit"))  # found
        engines = {"read": create_async_engine("postgresql+asyncpg://replica"), "write": engine}  # found
    """),
    Bad("""
        from fastapi import FastAPI
        from sqlalchemy import create_engine, text
        app = FastAPI()
        @app.get("/orders")
        def orders():
            engine = create_engine("postgresql://db/orders")  # found
            with engine.connect() as connection:
                return connection.scalar(text("select count(*) from orders"))
    """),
    Bad("""
        # file: app/main.py
        import aiohttp
        import httpx
        from celery import Celery
        from fastapi import FastAPI
        from sqlalchemy import create_engine
        from app.answers import answers
        app = FastAPI()
        engine = create_engine("postgresql://db/orders")  # found
        def left_over():
            engine.dispose()
        @app.get("/rates")
        async def rates(url: str):
            await aiohttp.ClientSession().get("https://example.org/rates")  # found
            client = httpx.AsyncClient()  # found
            async with httpx.AsyncClient() as other:  # found
                await other.get("https://example.org")
            return (await client.get("https://example.org/rates")).json(), answers
        class Copies:
            def write(self, url):
                other = create_engine(url)  # found
                other.connect()
                other.dispose()
        @app.get("/copy")
        def copy(url: str):
            Copies().write(url)
        @app.post("/jobs")
        def start():
            jobs = Celery(broker="redis://localhost")  # found
            jobs.send_task("report")
        # file: app/answers.py
        from openai import AsyncOpenAI
        class Answers:
            def __init__(self):
                self.model = AsyncOpenAI()
        answers = Answers()  # found
    """),
    Good(
        """
        # file: app/main.py
        from contextlib import asynccontextmanager
        import httpx
        from fastapi import FastAPI
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool
        from app.config import testing
        if testing:
            engine = create_engine("postgresql://db/orders", poolclass=NullPool)
        else:
            engine = None
        class Prices:
            def __init__(self):
                self.client = httpx.AsyncClient()
            async def close(self):
                await self.client.aclose()
        prices = Prices()
        @asynccontextmanager
        async def lifespan(app):
            yield
            await prices.close()
        app = FastAPI(lifespan=lifespan)
        async def price(client):
            return await client.get("https://example.org")
        @app.get("/prices")
        async def all_prices():
            client = httpx.AsyncClient()
            try:
                return await price(client)
            finally:
                await client.aclose()
        # file: app/config.py
        testing = False
        # file: move_users.py
        from sqlalchemy import create_engine, text
        old = create_engine("postgresql://old/users")
        def rows():
            with old.connect() as connection:
                return connection.execute(text("select 1")).all()
        print(rows())
    """,
        "no pool, what an object of a module closes, what an endpoint closes, and a one-off that the service does not import",
    ),
    Good(
        """
        from functools import lru_cache
        import httpx
        from fastapi import FastAPI
        from sqlalchemy import create_engine, text
        app = FastAPI()
        known = {}
        @lru_cache
        def cached():
            engine = create_engine("postgresql://db/orders")
            engine.connect()
            return engine
        @lru_cache
        def client():
            return httpx.AsyncClient()
        app.router.on_shutdown.append(lambda: client().aclose())
        def of(tenant):
            if tenant not in known:
                engine = create_engine(f"postgresql://db/{tenant}")
                known[tenant] = engine
            return known[tenant]
        @app.get("/ready")
        async def ready():
            rates = client()
            await rates.get("https://example.org")
            probe = create_engine("postgresql://db/orders")
            probe.connect()
            probe.dispose()
        @app.get("/orders")
        def orders(tenant: str):
            ours = of(tenant).execution_options(schema_translate_map={None: tenant})
            return ours.connect().scalar(text("select 1")) or cached()
    """,
        "one that is kept for the next request, one that is disposed of, and another view of a pool that there is",
    ),
    Good(
        """
        import httpx
        def load(client): ...
        if __name__ == "__main__":
            client = httpx.Client()
            load(client)
    """,
        "a script of its own, which ends",
    ),
    Good(
        """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy import create_engine, text
        from sqlalchemy.ext.asyncio import create_async_engine
        shared = None
        engines = {"read": create_async_engine("postgresql+asyncpg://replica")}
        def connected():
            global shared
            if shared is None:
                shared = create_engine("postgresql://db/orders")
            return shared
        @asynccontextmanager
        async def lifespan(app):
            yield
            for engine in engines.values():
                await engine.dispose()
            if shared is not None:
                shared.dispose()
        app = FastAPI(lifespan=lifespan)
        @app.get("/orders")
        def orders():
            engine = connected()
            return engine.connect().scalar(text("select 1"))
    """,
        "a function makes one for all requests, and one after the other of a table is closed",
    ),
    Good(
        """
        import asyncio
        import logging
        import httpx
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        clients = {"prices": httpx.AsyncClient()}
        others = [httpx.AsyncClient()]
        third = [httpx.AsyncClient()]
        @asynccontextmanager
        async def lifespan(app):
            yield
            await asyncio.gather(*(client.aclose() for client in clients.values()))
            for client in others:
                try:
                    await client.aclose()
                except httpx.HTTPError:
                    logging.exception("not closed")
            [await client.aclose() for client in third]
        app = FastAPI(lifespan=lifespan)
    """,
        "all of a table are closed, at once or one after the other",
    ),
    Good(
        """
        import httpx
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy.ext.asyncio import create_async_engine
        engine = create_async_engine("sqlite+aiosqlite://")
        @asynccontextmanager
        async def lifespan(app):
            async with httpx.AsyncClient() as client:
                app.state.client = client
                yield
            await engine.dispose()
        app = FastAPI(lifespan=lifespan)
        # file: scripts/load.py
        import httpx
        client = httpx.Client()
    """
    ),
    Good(
        """
        from functools import cache, partial
        import httpx
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy.orm import sessionmaker
        make_client = partial(httpx.AsyncClient, timeout=5)
        SessionLocal = sessionmaker()
        @cache
        def client():
            return httpx.AsyncClient()
        @asynccontextmanager
        async def lifespan(app):
            yield
            await client().aclose()
        app = FastAPI(lifespan=lifespan)
    """,
        "what makes one is no resource, and one that a cache makes on demand is closed by name",
    ),
    Good(
        """
        # file: app/db.py
        import httpx
        import redis.asyncio as redis
        from sqlalchemy.ext.asyncio import create_async_engine
        engine = create_async_engine("sqlite+aiosqlite://")
        cache = redis.from_url("redis://localhost")
        client = httpx.AsyncClient()
        # file: app/main.py
        from contextlib import AsyncExitStack, asynccontextmanager
        from fastapi import FastAPI
        from app import db
        from app.db import cache, client
        async def close_redis(pool): ...
        @asynccontextmanager
        async def lifespan(app):
            async with AsyncExitStack() as stack:
                stack.push_async_callback(db.engine.dispose)
                await stack.enter_async_context(client)
                yield
            await close_redis(cache)
        app = FastAPI(lifespan=lifespan)
    """,
        "closed in another file, by an event, an exit stack or a function that closes",
    ),
    Bad("""
        # file: app/main.py
        import httpx
        from sqlalchemy.ext.asyncio import create_async_engine
        def make_client():
            return httpx.AsyncClient(timeout=5)
        client = make_client()  # found
        engine = create_async_engine("sqlite+aiosqlite://")  # found
        # file: app/other.py
        class Pool:
            async def stop(self):
                await self.engine.dispose()
    """),
    Good(
        """
        # file: app/db/__init__.py
        from app.db.connection import engine
        # file: app/db/connection.py
        from sqlalchemy.ext.asyncio import create_async_engine
        engine = create_async_engine("sqlite+aiosqlite://")
        # file: app/main.py
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from app.db import engine
        @asynccontextmanager
        async def lifespan(app):
            yield
            await engine.dispose()
        app = FastAPI(lifespan=lifespan)
    """,
        "closed under the name that its package passes on",
    ),
    Bad("""
        import redis
        import redis.asyncio
        from fastapi import FastAPI
        app = FastAPI()
        @app.post("/refresh")
        async def refresh():
            client = await redis.asyncio.from_url("redis://cache")  # found
            await client.publish("refresh", "all")
            await client.close()
        @app.get("/hits")
        def hits():
            client = redis.Redis(host="cache")  # found
            return client.get("hits")
        @app.get("/ready")
        def ready():
            probe = redis.Redis(host="cache")
            probe.ping(), probe.close()
    """),
]
