"""An event loop is started from code that a running loop calls.

`asyncio.run` and `run_until_complete` refuse to run inside a running loop: reached from an `async` endpoint or task they
raise `RuntimeError`, on the path that was not tested. Reached from a thread they make a second loop, in which the clients and
sessions of the first do not work.

Make the caller `async` and await; from a thread, use `anyio.from_thread.run`.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.knowledge import loop
from fastness.tool.check.knowledge.chains import told
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.calls import Outward
from fastness.tool.project.symbols import Function

_STARTS = frozenset(
    {"asyncio.run", "asyncio.loop.run_until_complete", "asgiref.sync.async_to_sync()", "anyio.run", "uvloop.run"}
)


@rule(severity=Severity.WARNING, practice="4.1", help="make the caller async and await, or use `anyio.from_thread.run`")
def check(service: Service) -> Iterator[Found]:
    entries: set[Function] = {entry.function for entry in loop.entries(service)}
    entries |= {route.handler for route in service.routes}
    entries |= {f for module in service.project.service for f in module.functions if f.is_async}
    chains = service.graph.nearest(entries, _kind, through=loop.runs_here)
    reported = set()
    for chain in sorted((reached["loop"] for reached in chains.values()), key=lambda chain: len(chain.edges)):
        site = chain.last.site
        if site not in reported:
            reported.add(site)
            caller = "async" if chain.entry.is_async else "endpoint"
            message = f"{chain.last.target.path.replace('()', '')} is reached from {caller} {chain.entry.qualified}"
            yield found(site.scope, site.node, message, *told(chain, "starts another event loop"))


def _kind(call: Outward) -> str | None:
    return "loop" if call.target.path in _STARTS else None


EXAMPLES = [
    Bad("""
        import asyncio
        from fastapi import FastAPI

        app = FastAPI()

        async def notify():
            ...

        def process():
            asyncio.run(notify())  # found

        async def job():
            process()
    """),
    Good("""
        import asyncio

        async def main():
            ...

        if __name__ == "__main__":
            asyncio.run(main())

        def command():
            asyncio.run(main())

        TEXT = "loop.run_until_complete(main())"
    """),
    Good(
        """
        import asyncio
        import threading
        from celery import Celery
        from fastapi import FastAPI

        app = FastAPI()
        celery = Celery()

        async def consume(): ...

        def consumer():
            asyncio.run(consume())

        @celery.task
        def report():
            asyncio.run(consume())

        @app.post("/consumers")
        async def start():
            threading.Thread(target=consumer, daemon=True).start()
            report.delay()
    """,
        "a thread has no loop that runs, and neither has a worker's task that the endpoint only queues",
    ),
    Good(
        """
        import asyncio
        import subprocess
        from fastapi import FastAPI

        app = FastAPI()

        class Runner:
            async def run(self, command): ...

            def run_until_complete(self, commands): ...

        runner = Runner()

        @app.post("/jobs")
        async def start():
            await runner.run("a")
            runner.run_until_complete(["b"])
            return asyncio.iscoroutinefunction(subprocess.run)
    """,
        "the `run` of something else",
    ),
]
