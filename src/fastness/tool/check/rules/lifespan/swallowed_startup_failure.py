"""A failure at start-up is logged, and the service starts anyway.

It then reports that it is up and fails every request that needs what did not start: with the old schema, without its
admin, without its queue. Nothing restarts it, because nothing died.

Let the exception end the process; the platform keeps the old version running and tries again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.handlers import caught, is_broad, raises
from fastness.tool.check.knowledge.startup import starts
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.symbols import Function, last_name
from fastness.tool.project.walk import own

_OPTIONAL = re.compile(
    r"seed|warm|prefetch|demo|sentry|tracing|telemetry|instrument|banner|version|cancel|close|shutdown|metrics|backfill",
    re.IGNORECASE,
)
# What is raised when something that the service needs does not answer.
_DOWN = {
    "OperationalError", "InterfaceError", "DatabaseError", "DBAPIError", "SQLAlchemyError", "RedisError", "PyMongoError",
    "ConnectionFailure", "ServerSelectionTimeoutError", "AMQPConnectionError", "KafkaConnectionError", "ConnectionError",
    "ConnectionRefusedError",
}  # fmt: skip


@rule(severity=Severity.ERROR, practice="2.2", help="let it raise: a service that cannot start must not look started")
def check(service: Service) -> Iterator[Found]:
    for entry in starts(service):
        if entry.decorated("repeat_every"):
            continue  # it will be tried again
        before = _first_yield(entry)
        retried = {id(inner) for loop in entry.nodes for inner in _retried(loop)}
        for node in entry.nodes:
            if not isinstance(node, ast.Try) or node.lineno > before or _yields(node) or not _works(node):
                continue
            for handler in node.handlers:
                if (is_broad(handler) or caught(handler) & _DOWN) and not raises(handler) and id(node) not in retried:
                    message = f"{entry.qualified} goes on when its start-up work fails"
                    yield found(entry, handler, message, proof(entry, node, "the work that may fail"))


def _retried(loop: ast.AST) -> list[ast.stmt]:
    """What a loop tries again, and raises when it has run out of attempts: `for ...: try ... else: raise`."""
    if not isinstance(loop, ast.For | ast.AsyncFor) or not any(isinstance(node, ast.Raise) for node in own(loop.orelse)):
        return []
    return loop.body


def _first_yield(entry: Function) -> int:
    lines = [node.lineno for node in entry.nodes if isinstance(node, ast.Yield)]
    return min(lines, default=1 << 30)


def _yields(node: ast.Try) -> bool:
    return any(isinstance(inner, ast.Yield) for inner in own(node.body))


def _works(node: ast.Try) -> bool:
    """Something is opened, loaded or migrated inside; what is optional by its name may fail."""
    names = [last_name(inner) for inner in own(node.body) if isinstance(inner, ast.Call)]
    return bool(names) and not any(_OPTIONAL.search(name) for name in names)


EXAMPLES = [
    Bad("""
        import logging
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        async def migrate(): ...

        @asynccontextmanager
        async def lifespan(app):
            try:
                await migrate()
            except Exception:  # found
                logging.exception("migration failed")
            yield

        app = FastAPI(lifespan=lifespan)
    """),
    Bad("""
        import logging
        from fastapi import FastAPI
        from sqlalchemy import create_engine
        from sqlalchemy.exc import OperationalError

        app = FastAPI()
        engine = create_engine("postgresql://db/orders")

        @app.on_event("startup")
        def connect():
            try:
                app.state.connection = engine.connect()
            except OperationalError:  # found
                logging.exception("no database")
    """),
    Good("""
        import logging
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        async def migrate(): ...
        async def warm_cache(): ...

        @asynccontextmanager
        async def lifespan(app):
            try:
                await migrate()
            except Exception:
                logging.exception("migration failed")
                raise
            try:
                await warm_cache()
            except Exception:
                logging.exception("cold")
            yield
            try:
                await migrate()
            except Exception:
                logging.exception("at shutdown")

        app = FastAPI(lifespan=lifespan)
    """),
    Good(
        """
        import asyncio
        import logging
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        async def connect(): ...

        @asynccontextmanager
        async def lifespan(app):
            for attempt in range(5):
                try:
                    await connect()
                    break
                except Exception:
                    if attempt == 4:
                        raise
                    logging.warning("not yet")
                    await asyncio.sleep(1)
            for _ in range(5):
                try:
                    await connect()
                    break
                except Exception:
                    await asyncio.sleep(1)
            else:
                raise RuntimeError("the queue does not answer")
            yield

        app = FastAPI(lifespan=lifespan)
    """,
        "the last of several attempts raises",
    ),
    Good(
        """
        import os
        import sys
        from pathlib import Path
        from fastapi import FastAPI

        app = FastAPI()

        async def migrate(): ...

        @app.on_event("startup")
        async def start():
            try:
                await migrate()
            except Exception as error:
                print(error)
                sys.exit(1)

        @app.on_event("startup")
        def load():
            try:
                app.state.banner = Path("banner.txt").read_text()
            except FileNotFoundError:
                app.state.banner = ""
    """,
        "the process ends, or what is caught is one failure that was expected",
    ),
]
