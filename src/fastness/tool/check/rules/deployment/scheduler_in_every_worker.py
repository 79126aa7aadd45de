"""Scheduled work starts in every process of the service.

A scheduler or periodic loop that starts with the app runs once per worker and replica: four workers on three replicas send
twelve reminders. With reload or a rolling deployment it runs a thirteenth time.

Run it in one process of its own, or let whoever holds a lock in the database run it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.startup import starts
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.calls import Edge
from fastness.tool.project.symbols import CallSite, Function
from fastness.tool.project.values import External
from fastness.tool.project.walk import walk

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
                if site in reported or not _starts_scheduler(service, site) or _guarded(entry, way, function, site):
                    continue
                reported.add(site)
                first = way[0].site.node if way else site.node
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
]
