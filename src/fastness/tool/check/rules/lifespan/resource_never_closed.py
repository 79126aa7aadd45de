"""A connection pool or client is opened at start-up, and nothing closes it.

When the process is asked to stop, its connections are cut: the server keeps them until it notices, requests in flight fail
half-way, and buffered messages of a producer are lost. In tests every app that starts leaves one behind.

Close it after the lifespan's `yield`, in reverse order; `async with` and an `AsyncExitStack` do so when start-up fails as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.lifetimes import resources, startup
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function, last_name

_STEPS = 3  # calls from the lifespan to where the resource is made


@rule(severity=Severity.WARNING, practice="2.2", help="close it after the `yield`, or enter it with `async with`")
def check(service: Service) -> Iterator[Found]:
    reported: set[ast.Call] = set()
    for entry in startup.starts(service):
        if entry.module.is_test:
            continue
        for function, evidence in _reached(service, entry):
            for name, call in _kept(function):
                what = resources.resource(service, call, function)
                if what and call not in reported and not resources.is_closed(service, name):
                    reported.add(call)
                    yield found(function, call, f"{name}, a {what}, is opened at start-up, and nothing closes it", *evidence)
    yield from _containers(service)


def _containers(service: Service) -> Iterator[Found]:
    """A container of dishka keeps what its providers make for the app, connections too, until it is closed."""
    modules = [module for module in service.project.service if "setup_dishka" in module.calls_by_name.names]
    if not modules or not any(one.mentions("Scope.APP") for one in service.project.service):
        return
    for module in modules:
        for site in module.calls_by_name.get("setup_dishka", ()):
            given = site.argument("container", 0)
            names = {"container", "dishka_container", last_name(given) if given is not None else ""} - {""}
            ours = service.resolver.calls(site, "dishka.integrations.fastapi.setup_dishka") and _connects(service)
            if ours and not any(resources.is_closed(service, name) for name in names):
                message = "the container keeps connections for the whole app, and nothing closes it"
                yield found(site.scope, site.node, message)


def _connects(service: Service) -> bool:
    return any(
        resources.resource(service, site.node, site.scope) is not None
        for module in service.project.service
        for name in sorted(module.calls_by_name.names & _OPENING)
        for site in module.calls_by_name.get(name, ())
    )


_OPENING = {"create_engine", "create_async_engine", "from_url", "Redis", "AsyncClient", "ClientSession", "create_pool"}


def _reached(service: Service, entry: Function) -> Iterator[tuple[Function, tuple[Evidence, ...]]]:
    """The functions that start-up runs, with the calls that lead there."""
    seen = {entry}
    pending: list[tuple[Function, tuple[Evidence, ...]]] = [(entry, (proof(entry, entry.node, "runs at start-up"),))]
    while pending:
        function, evidence = pending.pop(0)
        yield function, evidence
        for edge in service.graph.edges(function) if len(evidence) <= _STEPS else ():
            if edge.target not in seen and edge.target.module.is_service:
                seen.add(edge.target)
                pending.append((edge.target, (*evidence, proof(function, edge.site.node, f"calls {edge.target.qualified}"))))


def _kept(function: Function) -> Iterator[tuple[str, ast.Call]]:
    """What outlives the function of what its calls make, by the name of a module, of an object, or of the lifespan itself."""
    for node in function.nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            made = node.value.value if isinstance(node.value, ast.Await) else node.value
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if not isinstance(made, ast.Call):
                continue
            if isinstance(target, ast.Attribute):
                yield target.attr, made
            elif isinstance(target, ast.Name) and (target.id in function.globals or _stays_open(function, target.id)):
                yield target.id, made


def _stays_open(function: Function, name: str) -> bool:
    """A lifespan's own, which it does not enter."""
    return function.is_generator and not resources.is_entered(function, name)


EXAMPLES = [
    Bad("""
        # file: app/main.py
        from contextlib import asynccontextmanager
        import httpx
        from fastapi import FastAPI
        from app import cache

        @asynccontextmanager
        async def lifespan(app):
            app.state.upstream = httpx.AsyncClient()  # found
            cache.connect()
            yield

        app = FastAPI(lifespan=lifespan)
        # file: app/cache.py
        import redis.asyncio as redis

        store = None

        def connect():
            global store
            store = redis.from_url("redis://localhost")  # found
    """),
    Bad("""
        import asyncpg
        from fastapi import FastAPI

        app = FastAPI()

        @app.on_event("startup")
        async def connect():
            app.state.pool = await asyncpg.create_pool("postgresql://localhost")  # found
    """),
    Bad("""
        # file: app/main.py
        from dishka import make_async_container
        from dishka.integrations.fastapi import setup_dishka
        from fastapi import FastAPI
        from app.data import Data

        app = FastAPI()
        setup_dishka(make_async_container(Data()), app)  # found
        # file: app/data.py
        from dishka import Provider, Scope, provide
        from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

        class Data(Provider):
            scope = Scope.APP

            @provide
            def engine(self) -> AsyncEngine:
                return create_async_engine("postgresql+asyncpg://db/orders")
    """),
    Good(
        """
        # file: app/main.py
        from contextlib import asynccontextmanager
        from dishka import make_async_container
        from dishka.integrations.fastapi import setup_dishka
        from fastapi import FastAPI
        from app.data import Data

        @asynccontextmanager
        async def lifespan(app):
            yield
            await app.state.dishka_container.close()

        app = FastAPI(lifespan=lifespan)
        setup_dishka(make_async_container(Data()), app)
        # file: app/data.py
        from dishka import Provider, Scope, provide
        from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

        class Data(Provider):
            scope = Scope.APP

            @provide
            def engine(self) -> AsyncEngine:
                return create_async_engine("postgresql+asyncpg://db/orders")
    """,
        "the container is closed, and closes what it keeps",
    ),
    Good(
        """
        from contextlib import asynccontextmanager
        import redis.asyncio as redis
        from fastapi import FastAPI

        class Cache:
            pool = None

            @classmethod
            async def open(cls):
                cls.pool = redis.ConnectionPool.from_url("redis://localhost")
                cls.client = redis.Redis(connection_pool=cls.pool)

            @classmethod
            async def close(cls):
                await cls.pool.disconnect()

        @asynccontextmanager
        async def lifespan(app):
            await Cache.open()
            yield
            await Cache.close()

        app = FastAPI(lifespan=lifespan)
    """,
        "a client over a pool holds nothing of its own",
    ),
    Good(
        """
        from contextlib import AsyncExitStack, asynccontextmanager
        import httpx
        import redis.asyncio as redis
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
                app.state.client = client
                cache = redis.from_url("redis://localhost")
                await stack.enter_async_context(cache)
                app.state.cache = cache
                yield

        app = FastAPI(lifespan=lifespan)
    """,
        "context managers and exit stacks close what they are given",
    ),
    Good(
        """
        import asyncpg
        from fastapi import FastAPI

        app = FastAPI()

        async def connect(app):
            app.state.pool = await asyncpg.create_pool("postgresql://localhost")

        @app.on_event("startup")
        async def start():
            await connect(app)

        @app.on_event("shutdown")
        async def stop():
            await app.state.pool.close()
    """,
        "a shutdown handler closes it",
    ),
    Good(
        """
        from contextlib import asynccontextmanager
        import httpx
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            with httpx.Client() as client:
                client.get("http://localhost/ready")
            app.state.upstream = httpx.AsyncClient()
            yield
            await getattr(app.state, "upstream").aclose()

        app = FastAPI(lifespan=lifespan)
    """,
        "a client for the time of start-up, and one that is closed by another way to it",
    ),
]
