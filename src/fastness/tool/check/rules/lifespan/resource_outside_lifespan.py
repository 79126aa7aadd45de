"""A connection pool or client is made on import, and nobody closes it.

It belongs to whichever event loop first uses it, is shared by processes that fork after the import, is made by every test and
script that imports the module, and its connections are cut instead of closed when the process ends.

Open it in the lifespan and close it there, in reverse order.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Binding, Kind
from fastness.tool.project.values import External

_RESOURCE = re.compile(
    r"sqlalchemy\.(?:Engine|ext\.asyncio\.AsyncEngine)\(\)|redis\.(?:asyncio\.)?(?:Redis|ConnectionPool)\(\)|httpx2?\.(?:Async)?Client\(\)"
    r"|aiohttp\.ClientSession\(\)|pymongo\.MongoClient\(\)|motor\.motor_asyncio\.AsyncIOMotorClient\(\)|asyncpg\.create_pool\(\)"
    r"|redis\.asyncio\.(?:from_url|BlockingConnectionPool)\(\)|aiokafka\.\w+\(\)|pymongo\.AsyncMongoClient\(\)"
)
_CLOSES = {"close", "aclose", "dispose", "disconnect", "shutdown", "close_all", "wait_closed", "__aexit__", "stop", "quit"}


@rule(severity=Severity.WARNING, practice="2.1", help="open it in the lifespan, and close it after the `yield`")
def check(service: Service) -> Iterator[Found]:
    closed = _closed(service)
    for module in service.project.service:
        for name, bindings in module.bindings.items():
            for binding in bindings:
                what = _resource(service, module, binding)
                if what is not None and name not in closed:
                    message = f"{name}, a {what}, is made when the module is imported, and nothing closes it"
                    yield found(module, binding.node, message)


def _resource(service: Service, module: Module, binding: Binding) -> str | None:
    if binding.kind is not Kind.ASSIGN or not isinstance(binding.value, ast.Call):
        return None
    for value in service.resolver.infer(binding.value, module):
        if isinstance(value, External) and _RESOURCE.fullmatch(value.path) and value.call and value.call[0] is binding.value:
            return value.path.strip("()").rpartition(".")[2]
    return None


def _closed(service: Service) -> set[str]:
    """The names on which something in the service calls `close`, however they are reached."""
    found_: set[str] = set()
    for module in service.project.service:
        for name in _CLOSES:
            for site in module.calls_by_name.get(name, ()):
                if isinstance(site.node.func, ast.Attribute):
                    text = ast.unparse(site.node.func.value)
                    found_.update(re.findall(r"\w+", text))
    return found_


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
]
