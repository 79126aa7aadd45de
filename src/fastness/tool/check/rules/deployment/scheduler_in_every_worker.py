"""Scheduled work starts in every process of the service.

A scheduler or periodic loop that starts with the app runs once per worker and replica: four workers on three replicas send
twelve reminders. With reload or a rolling deployment it runs a thirteenth time.

A loop that writes or sends is such work, unless it locks the rows that it takes. What each process keeps for itself is none:
its metrics, its cache, its heartbeat.

Run it in one process of its own, or let whoever holds a lock in the database run it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastness.tool.check.knowledge.facts.reach import near
from fastness.tool.check.knowledge.lifetimes.startup import functions, starts
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Edge
from fastness.tool.project.names.values import External, FunctionValue
from fastness.tool.project.source.symbols import CallSite, Function, last_name
from fastness.tool.project.source.walk import walk

_SCHEDULER = re.compile(
    r"apscheduler\.schedulers\.\w+(?:\.\w+)?\(\)\.start|(?:apscheduler\.\w+\(\)|rocketry\.Rocketry\(\))\.(?:start|serve|run)"
)
_REPEATS = "repeat_every"
_LEADER = re.compile(r"leader|advisory|lock|elect|singleton|primary|is_master", re.IGNORECASE)


@rule(severity=Severity.WARNING, practice="10.1", help="give scheduled work a process of its own, or a leader lock")
def check(service: Service) -> Iterator[Found]:
    reported: set[CallSite] = set()
    for entry in starts(service):
        for function, way in _reached(service, entry):
            for site in function.calls:
                loop = None if site in reported else _loop(service, site)
                if loop is None and (site in reported or not _starts_scheduler(service, site)):
                    continue
                if _guarded(entry, way, function, site):
                    continue
                reported.add(site)
                first = way[0].site.node if way else site.node
                if loop is not None:
                    message = f"{loop.started.qualified} runs in every worker, and {loop.what} in each"
                    yield found(entry, first, message, proof(function, site.node, "starts the loop"),
                                proof(loop.changes.scope, loop.changes.node, loop.what))  # fmt: skip
                    continue
                yield found(entry, first, "a scheduler starts in every worker", proof(entry, entry.node, "runs at start-up"),
                            proof(function, site.node, "starts the scheduler"))  # fmt: skip
        for decorator in entry.decorators:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).rpartition(".")[2] == _REPEATS:
                yield found(entry, decorator, f"{entry.qualified} is repeated by every worker")


def _reached(service: Service, entry: Function) -> Iterator[tuple[Function, tuple[Edge, ...]]]:
    seen = {entry}
    pending: list[tuple[Function, tuple[Edge, ...]]] = [(entry, ())]
    while pending:
        function, way = pending.pop(0)
        yield function, way
        for edge in service.graph.edges(function):
            if edge.target not in seen and len(way) < 4:
                seen.add(edge.target)
                pending.append((edge.target, (*way, edge)))


def _starts_scheduler(service: Service, site: CallSite) -> bool:
    if site.name not in {"start", "serve", "run"}:
        return False
    return any(isinstance(value, External) and _SCHEDULER.fullmatch(value.path) for value in service.resolver.targets(site))


@dataclass(frozen=True, slots=True)
class _Loop:
    """Work that a process repeats as long as it lives, and the call in it that others notice."""

    started: Function
    changes: CallSite
    what: str


def _loop(service: Service, site: CallSite) -> _Loop | None:
    """The loop that a task or thread runs, if it would do harm twice."""
    for started in _started(service, site):
        if _HARMLESS.search(started.qualified):
            continue
        turns = next((one for one in near(service, started, 1) if any(map(_waits, one.of(ast.While)))), None)
        work = near(service, turns, 4) if turns is not None else {}
        for one in work:
            for call in service.graph.outward(one):
                what = next((what for pattern, what in _EFFECTS if pattern.fullmatch(call.target.path)), None)
                if what is not None and not any(_CLAIMS.search(ast.unparse(other.node)) for other in work):
                    return _Loop(started, call.site, what)
    return None


def _started(service: Service, site: CallSite) -> Iterator[Function]:
    """Of `create_task(poll())` and of `Thread(target=poll)` the function."""
    if site.name == "Thread":
        for value in service.resolver.infer(site.argument("target", 1), site.scope):
            if isinstance(value, FunctionValue):
                yield value.definition
    elif site.name in _TASKS and isinstance(site.scope, Function):
        given = site.argument("coro", 0)
        for inner in site.scope.calls:
            if inner.node is given:
                yield from functions(service, inner)


def _waits(loop: ast.AST) -> bool:
    """Each turn ends with a pause: the loop asks again and again, and is not fed by a queue or a socket."""
    return any(isinstance(node, ast.Call) and last_name(node.func) == "sleep" for node in walk(loop))


_TASKS = frozenset({"create_task", "ensure_future"})
_HARMLESS = re.compile(
    r"metric|health|cache|refresh|heart_?beat|monitor|stat(?:s|istic)|watch|clean|purge|prune|expire|evict|warm|reload|ping"
    r"|keep_?alive|reconnect|broadcast|listen|subscri|consum|flush",
    re.IGNORECASE,
)
_CLAIMS = re.compile(
    r"(?<![a-z])lock|for_update|for update|leader|advisory|elect_|is_primary|setnx|\bnx=True|claim|[bl]pop\b|xreadgroup"
    r"|receive_messages?\b|find_one_and_|\.returning\(",
    re.IGNORECASE,
)
_SESSION = r"sqlalchemy\.(?:orm\.(?:Session|scoped_session)|ext\.asyncio\.AsyncSession)\(\)"
_EFFECTS = (
    (re.compile(rf"{_SESSION}\.commit"), "commits"),
    (
        re.compile(
            r"smtplib\.SMTP\(\)\.send\w+|aiosmtplib\.(?:send|SMTP\(\)\.send\w+)|fastapi_mail\.FastMail\(\)\.send_message"
        ),
        "sends",
    ),
    (
        re.compile(
            r"(?:requests(?:\.Session\(\))?|httpx2?(?:\.(?:Async)?Client\(\))?|aiohttp\.ClientSession\(\))\.(?:post|put|patch)"
        ),
        "sends",
    ),
)


def _guarded(entry: Function, way: tuple[Edge, ...], function: Function, site: CallSite) -> bool:
    """A lock, an election or a setting that is off unless somebody sets it decides about the start."""
    places = [
        (entry, way[0].site.node if way else site.node),
        (function, site.node),
        *((e.target, site.node) for e in way[:-1]),
    ]
    for scope, node in places:
        for outer in walk(scope.node):
            if isinstance(outer, ast.If | ast.With | ast.AsyncWith) and any(inner is node for inner in walk(outer)):
                test = outer.test if isinstance(outer, ast.If) else outer.items[0].context_expr
                if isinstance(outer, ast.If) or _LEADER.search(ast.unparse(test)):
                    return True
    return any(_LEADER.search(inner.name) for inner in (*entry.calls, *function.calls))


EXAMPLES = [
    Bad("""
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from fastapi import FastAPI
        from fastapi_utils.tasks import repeat_every

        app = FastAPI()
        scheduler = AsyncIOScheduler()

        def run_jobs():
            scheduler.start()

        @app.on_event("startup")
        async def start():
            run_jobs()  # found

        @app.on_event("startup")
        @repeat_every(seconds=60)  # found
        def remind(): ...
    """),
    Good("""
        from contextlib import asynccontextmanager
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from fastapi import FastAPI

        scheduler = AsyncIOScheduler()

        def acquire_leader_lock(): ...

        @asynccontextmanager
        async def lifespan(app):
            if acquire_leader_lock():
                scheduler.start()
            yield

        app = FastAPI(lifespan=lifespan)
        # file: app/scheduler.py
        from apscheduler.schedulers.blocking import BlockingScheduler

        def main():
            BlockingScheduler().start()
    """),
    Good(
        """
        # file: app/main.py
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from app.pool import Scheduler

        scheduler = Scheduler()

        @asynccontextmanager
        async def lifespan(app):
            scheduler.start()
            yield

        app = FastAPI(lifespan=lifespan)
        # file: app/pool.py
        class Scheduler:
            def start(self): ...
        # file: app/worker.py
        import asyncio
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        async def main():
            scheduler = AsyncIOScheduler()
            scheduler.start()

        if __name__ == "__main__":
            asyncio.run(main())
    """,
        "a thing that starts, and is no scheduler; a scheduler that a process of its own starts",
    ),
    Good(
        """
        from contextlib import asynccontextmanager
        from apscheduler.schedulers.background import BackgroundScheduler
        from fastapi import FastAPI
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            run_scheduler: bool = False

        settings = Settings()
        jobs, reports = BackgroundScheduler(), BackgroundScheduler()

        def start_jobs():
            if settings.run_scheduler:
                jobs.start()

        async def try_advisory_lock(key): ...

        @asynccontextmanager
        async def lifespan(app):
            start_jobs()
            async with try_advisory_lock(1):
                reports.start()
                yield

        app = FastAPI(lifespan=lifespan)
    """,
        "only where a setting says so, or where the lock was free",
    ),
    Bad("""
        # file: app/main.py
        import asyncio
        from contextlib import asynccontextmanager
        from threading import Thread
        from fastapi import FastAPI
        from app.outbox import poll, remind

        @asynccontextmanager
        async def lifespan(app):
            task = asyncio.create_task(poll())  # found
            Thread(target=remind, daemon=True).start()  # found
            yield
            task.cancel()

        app = FastAPI(lifespan=lifespan)
        # file: app/outbox.py
        import asyncio
        import time
        import httpx
        from sqlalchemy import select
        from sqlalchemy.orm import Session
        from app.models import Message

        def send_pending(db: Session):
            for message in db.scalars(select(Message).where(Message.state == "new")):
                message.state = "sent"
            db.commit()

        async def poll():
            while True:
                send_pending(Session())
                await asyncio.sleep(5)

        def remind():
            while True:
                httpx.post("https://mail.example.org/reminders")
                time.sleep(3600)
    """),
    Good(
        """
        # file: app/main.py
        import asyncio
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from app.outbox import poll, refresh_rates, serve
        from app.config import settings

        @asynccontextmanager
        async def lifespan(app):
            tasks = [asyncio.create_task(poll()), asyncio.create_task(refresh_rates()), asyncio.create_task(serve())]
            if settings.polls:
                tasks.append(asyncio.create_task(serve(forever=True)))
            yield

        app = FastAPI(lifespan=lifespan)
        # file: app/outbox.py
        import asyncio
        import httpx
        from sqlalchemy import select
        from sqlalchemy.orm import Session
        from app.models import Message

        async def poll():
            while True:
                with Session() as db:
                    db.scalars(select(Message).with_for_update(skip_locked=True)).all()
                    db.commit()
                await asyncio.sleep(5)

        async def refresh_rates():
            while True:
                await httpx.AsyncClient().post("https://example.org/rates")
                await asyncio.sleep(60)

        async def serve(forever=False):
            httpx.post("https://example.org/started")
    """,
        "rows that are locked, what each process has of its own, and what ends",
    ),
]
