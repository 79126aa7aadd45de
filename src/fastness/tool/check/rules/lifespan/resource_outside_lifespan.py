"""A connection pool or client is made on import, and nobody closes it.

It belongs to whichever event loop first uses it, is shared by processes that fork after the import, is made by every test and
script that imports the module, and its connections are cut instead of closed when the process ends.

Open it in the lifespan and close it there, in reverse order.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.knowledge import resources
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.symbols import Kind


@rule(severity=Severity.WARNING, practice="2.1", help="open it in the lifespan, and close it after the `yield`")
def check(service: Service) -> Iterator[Found]:
    for module in service.project.service:
        for name, bindings in module.bindings.items():
            for binding in bindings:
                what = resources.resource(service, binding.value, module) if binding.kind is Kind.ASSIGN else None
                if what is not None and not resources.is_closed(service, name, module):
                    message = f"{name}, a {what}, is made when the module is imported, and nothing closes it"
                    yield found(module, binding.node, message)


EXAMPLES = [
    Bad("""
        import httpx
        import redis.asyncio as redis
        from sqlalchemy.ext.asyncio import create_async_engine

        client = httpx.AsyncClient()  # found
        cache = redis.from_url("redis://localhost")  # found
        engine = create_async_engine("sqlite+aiosqlite://")  # found
    """),
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
