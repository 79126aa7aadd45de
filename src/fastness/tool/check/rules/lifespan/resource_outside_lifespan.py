"""A connection pool or client is made on import, and nobody closes it; or for each request.

It belongs to whichever event loop first uses it, is shared by processes that fork after the import, is made by every test and
script that imports the module, and its connections are cut instead of closed when the process ends. One that a request makes
is always empty: each request opens connections, and those that nothing disposes of stay open.

Open it in the lifespan and close it there, in reverse order.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge import reach, resources
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Function, Kind, values
from fastness.tool.project.walk import walk

_POOLS = {"Engine", "AsyncEngine", "ConnectionPool", "BlockingConnectionPool", "create_pool", "MongoClient",
          "AsyncIOMotorClient", "AsyncMongoClient"}  # fmt: skip
_LOGGERS = frozenset({"getLogger", "get_logger"})
_CLOSES = r"{}(?:\.sync_engine)?\.(?:close|aclose|dispose|disconnect)"
_CACHED = re.compile(r"cache|singleton", re.IGNORECASE)


@rule(severity=Severity.WARNING, practice="2.1", help="open it in the lifespan, and close it after the `yield`")
def check(service: Service) -> Iterator[Found]:
    for function in reach.from_requests(service):
        called = (function, *(edge.target for edge in service.graph.edges(function)))
        if any(resources.makes(call.target) for one in called for call in service.graph.outward(one)):
            yield from _per_request(service, function)


def each(module: Module, service: Service) -> Iterator[Found]:
    if not module.makers - _LOGGERS:
        return
    for name, bindings in module.bindings.items():
        for binding in bindings:
            served = binding.kind is Kind.ASSIGN and not module.only_as_script(binding.node)
            made = values(binding.value) if served and binding.value is not None else ()
            what = next((one for value in made if (one := resources.resource(service, value, module))), None)
            if what is not None and not resources.is_closed(service, name, module):
                when = "on demand" if _is_late(module, name, binding.node) else "when the module is imported"
                yield found(module, binding.node, f"{name}, {_a(what)}, is made {when}, and nothing closes it")


def _is_late(module: Module, name: str, node: ast.AST) -> bool:
    """A function gives the module's name its value."""
    line = getattr(node, "lineno", 0)
    return any(name in f.globals and f.line <= line <= (f.node.end_lineno or 0) for f in module.functions)


def _a(what: str) -> str:
    return f"{'an' if what[0] in 'AEIOU' else 'a'} {what}"


def _per_request(service: Service, function: Function) -> Iterator[Found]:
    """A pool that only this run of the function holds: it is empty each time."""
    if any(_CACHED.search(ast.unparse(decorator)) for decorator in function.decorators):
        return
    for name, bindings in function.bindings.items():
        for binding in bindings:
            if binding.kind is not Kind.ASSIGN or name in function.globals or not isinstance(binding.node, ast.stmt):
                continue
            what = resources.resource(service, binding.value, function)
            if what in _POOLS and not _outlives(function, name):
                yield found(function, binding.node, f"{function.qualified} makes {name}, {_a(what)}, for each request")


def _outlives(function: Function, name: str) -> bool:
    """It is returned, yielded, or put where it is found again; or it is closed here, as after a probe."""
    for node in function.nodes:
        if isinstance(node, ast.Attribute) and re.fullmatch(_CLOSES.format(name), ast.unparse(node)):
            return True
        value = node.value if isinstance(node, ast.Return | ast.Yield | ast.Assign | ast.AnnAssign) else None
        kept = not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(_target(node), ast.Name)
        if value is not None and kept and any(isinstance(n, ast.Name) and n.id == name for n in walk(value)):
            return True
    return False


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.targets[0] if isinstance(node, ast.Assign) else node.target


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
        from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

        def connected(url: str) -> AsyncEngine:
            try:
                return create_async_engine(url)
            except ValueError:
                sys.exit(1)

        engine = connected("postgresql+asyncpg://db/orders")  # found
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
    Good(
        """
        from functools import lru_cache
        from fastapi import FastAPI
        from sqlalchemy import create_engine, text

        app = FastAPI()
        known = {}

        @lru_cache
        def cached():
            engine = create_engine("postgresql://db/orders")
            engine.connect()
            return engine

        def of(tenant):
            if tenant not in known:
                engine = create_engine(f"postgresql://db/{tenant}")
                known[tenant] = engine
            return known[tenant]

        @app.get("/ready")
        def ready():
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
    Good("""
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
    """),
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
]
