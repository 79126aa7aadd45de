"""A failure at start-up is logged, and the service starts anyway.

It then reports that it is up and fails every request that needs what did not start: with the old schema, without its
admin, without its queue. Nothing restarts it, because nothing died.

Let the exception end the process; the platform keeps the old version running and tries again.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator

from fastness.tool.check.knowledge.answering.handlers import swallowing
from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.lifetimes import kept, startup
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import CallSite, Class, Function, last_name
from fastness.tool.project.source.walk import own

_OPTIONAL = re.compile(
    r"seed|warm|prefetch|demo|sentry|tracing|telemetry|instrument|banner|version|metrics|backfill|caching",
    re.IGNORECASE,
)
# Says what is done, or tidies up behind it.
_BESIDE = re.compile(
    r"debug|info|warn|warning|error|exception|critical|log|print|echo|commit|rollback|flush|a?close|dispose|cancel|shutdown|sleep"
)
_SERVES = re.compile(r"^uvicorn\.|(?:^|\.)(?:run_server|serve)$|Server$")
_RUNS_ANOTHER = frozenset(
    {"to_thread", "run_in_executor", "run_in_threadpool", "create_task", "gather", "wait_for", "run", "run_sync"}
)
_STEPS = 3  # calls from the start to who loads routers; whatever else is done must be called by what starts itself


@rule(severity=Severity.ERROR, practice="2.2", help="let it raise: a service that cannot start must not look started")
def check(service: Service) -> Iterator[Found]:
    entries = startup.starts(service)
    for entry in entries:
        if entry.decorated("repeat_every"):
            continue  # it will be tried again
        before = startup.first_yield(entry)
        for node, handler in swallowing(entry.nodes):
            if node.lineno < before and not _yields(node) and _works(node):
                message = f"{entry.qualified} goes on when its start-up work fails"
                yield found(entry, handler, message, proof(entry, node, "the work that may fail"))
    for scope in dict.fromkeys(app.scope for app in service.apps):
        for node, handler in swallowing(own(scope.node.body if isinstance(scope, Class | Function) else scope.tree.body)):
            if _makes_routes(node) and not module_of(scope).only_as_script(node):
                message = "the app is made without a part of its routes when this fails"
                yield found(scope, handler, message, proof(scope, node, "the routes that may be missing"))
    for function, site, steps in _helpers(service, set(entries)):
        apart = _apart(function)
        for node, handler in swallowing(function.nodes):
            alone = steps == 1 and id(node) not in apart and _works(node) and _only_says(handler)
            unseen = alone and (site.dropped or (_gives_nothing(handler) and kept.is_never_asked_for(service, site)))
            if unseen or _makes_routes(node):
                message = f"the service starts when {function.qualified} fails"
                yield found(function, handler, message, proof(site.scope, site.node, "called at start-up"),
                            proof(function, node, "the work that may fail"))  # fmt: skip


def _helpers(service: Service, entries: set[Function]) -> Iterator[tuple[Function, CallSite, int]]:
    """The functions that only start-up calls, each with its call. What is optional by a name on the way is left out."""
    serving = reach.from_requests(service)
    seen = set(entries)
    pending = deque((one.target, one.site, 1) for one in startup.begun(service))
    while pending:
        function, site, steps = pending.popleft()
        if function in seen or function in serving or not function.module.is_service or _OPTIONAL.search(function.qualified):
            continue
        seen.add(function)
        yield function, site, steps
        if steps < _STEPS:
            pending += ((edge.target, edge.site, steps + 1) for edge in service.graph.edges(function))


def _apart(function: Function) -> set[int]:
    """What is tried for one of many, or when something else has failed: the others do what is needed."""
    outer = [node for node in function.nodes if isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.ExceptHandler)]
    return {id(node) for one in outer for node in own(one.body) if isinstance(node, ast.Try)}


def _only_says(handler: ast.ExceptHandler) -> bool:
    """It makes up for nothing: what has failed is said, and no more."""
    for node in own(handler.body):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Await):
            return False
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not _BESIDE.fullmatch(last_name(node.value)):
            return False
    return True


def _gives_nothing(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Return) and (last.value is None or ast.unparse(last.value) == "None")


def _makes_routes(node: ast.Try) -> bool:
    """Routers are loaded or included, and the service lacks a part when one fails, whatever the caller is told."""
    names = {last_name(inner) for inner in own(node.body) if isinstance(inner, ast.Call)}
    return "include_router" in names or ("import_module" in names and "router" in ast.unparse(node).lower())


def _yields(node: ast.Try) -> bool:
    return any(isinstance(inner, ast.Yield) for inner in own(node.body))


def _works(node: ast.Try) -> bool:
    """Something is opened, loaded or migrated inside; what is optional by its name may fail, when nothing else is done."""
    inside = list(own(node.body))
    if any(isinstance(inner, ast.Call) and _SERVES.search(ast.unparse(inner.func)) for inner in inside):
        return False  # it serves nothing then
    done = [name for statement in inside if (name := _done(statement)) is not None]
    if done:
        return not all(_OPTIONAL.search(name) for name in done)
    called = (last_name(inner) for inner in inside if isinstance(inner, ast.Call))
    names = [name for name in called if not _BESIDE.fullmatch(name)]
    return bool(names) and not any(_OPTIONAL.search(name) for name in names)


def _done(statement: ast.AST) -> str | None:
    """What a statement has done for its own sake: `migrate()`, `app.state.pool = connect()`; not what another needs first."""
    if isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Attribute):
        return None
    if not isinstance(statement, ast.Expr | ast.Assign):
        return None
    made = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
    if not isinstance(made, ast.Call) or _BESIDE.fullmatch(last_name(made)):
        return None
    return ast.unparse(made if last_name(made) in _RUNS_ANOTHER else made.func)


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
    Bad("""
        import importlib, logging
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy import create_engine
        from sqlalchemy.orm import DeclarativeBase, Session
        engine = create_engine("postgresql://db/orders")
        class Base(DeclarativeBase): ...
        def make_roles(db): ...
        def seed_plans(db): ...
        def prepare():
            try:
                Base.metadata.create_all(engine)
            except Exception:  # found
                logging.exception("no tables")
        def load(app):
            for name in ("orders", "users"):
                try:
                    app.include_router(importlib.import_module(name).router)
                except Exception as error:  # found
                    logging.error("no routes of %s: %s", name, error)
        @asynccontextmanager
        async def lifespan(app):
            try:
                with Session(engine) as db:
                    make_roles(db)
                    seed_plans(db)
            except Exception:  # found
                logging.exception("not ready")
            try:
                engine.connect()
                db = Session(engine)
                db.close()
            except Exception as error:  # found
                print(error)
            prepare()
            yield
        app = FastAPI(lifespan=lifespan)
        load(app)
        try:
            from app import reports
            app.include_router(reports.router)
        except Exception:  # found
            logging.exception("no reports")
    """),
    Bad("""
        import logging, uvicorn
        from fastapi import FastAPI
        from app.models import load_models
        app = FastAPI()
        def prepare():
            try:
                app.state.models = load_models()
            except Exception:  # found
                logging.exception("no models")
        def run():
            prepare()
            serve()
        def serve():
            uvicorn.run(app)
        # file: app/models.py
        def load_models(): ...
    """),
    Bad("""
        import logging
        from contextlib import asynccontextmanager
        from fastapi import FastAPI, Request
        from redis.asyncio import Redis
        async def connected():
            try:
                client = Redis(host="queue")
                await client.ping()
            except Exception:  # found
                logging.exception("no queue")
                return None
            return client
        @asynccontextmanager
        async def lifespan(app):
            app.state.jobs = await connected()
            yield
        app = FastAPI(lifespan=lifespan)
        @app.post("/jobs")
        async def start(request: Request):
            await request.app.state.jobs.lpush("jobs", "report")
    """),
    Good(
        """
        import logging, uvicorn
        from contextlib import asynccontextmanager
        from fastapi import FastAPI, HTTPException, Request
        from redis.asyncio import Redis
        def serve():
            try:
                uvicorn.Server(uvicorn.Config("app.main:app")).run()
            except Exception:
                logging.exception("the server has ended")
        async def connected():
            try:
                client = Redis(host="queue")
                await client.ping()
            except Exception:
                logging.exception("no queue")
                return None
            return client
        @asynccontextmanager
        async def lifespan(app):
            serve()
            app.state.jobs = await connected()
            yield
        app = FastAPI(lifespan=lifespan)
        @app.post("/jobs")
        async def start(request: Request):
            jobs = request.app.state.jobs
            if jobs is None:
                raise HTTPException(503)
            await jobs.lpush("jobs", "report")
    """,
        "whoever uses what may be missing asks for it",
    ),
    Good(
        """
        import logging
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session
        engine = create_engine("postgresql://db/orders")
        PLUGINS = []
        def seed_plans(db): ...
        def remember(name): ...
        def answers() -> bool:
            try:
                engine.connect()
                return True
            except Exception:
                return False
        def install():
            for plugin in PLUGINS:
                try:
                    plugin.install()
                except Exception:
                    logging.exception("without %s", plugin)
        def connect(app):
            app.state.cache = None
            try:
                app.state.cache = engine.connect()
            except Exception:
                app.state.cache = {}
        def note():
            try:
                remember("start")
            except Exception:
                logging.exception("not noted")
        @asynccontextmanager
        async def lifespan(app):
            try:
                with Session(engine) as db:
                    seed_plans(db)
                    db.commit()
                logging.info("seeded")
            except Exception:
                logging.exception("no plans")
            if not answers():
                raise RuntimeError("no database")
            install()
            connect(app)
            note()
            yield
        app = FastAPI(lifespan=lifespan)
        @app.get("/")
        def index():
            note()
    """,
        "all of it is optional, the caller is told, one of many, another way is taken, and what requests do as well",
    ),
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
        import asyncio, logging
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
        import os, sys
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
