"""An event loop is started from code that a running loop calls.

`asyncio.run` and `run_until_complete` refuse to run inside a running loop: reached from an `async` endpoint or task they
raise `RuntimeError`, on the path that was not tested. Reached from a thread they make a second loop, in which the clients and
sessions of the first do not work.

Make the caller `async` and await; from a thread, use `anyio.from_thread.run`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

from fastness.tool.check.knowledge.answering.handlers import caught
from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.running import loop
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.source.symbols import CallSite, Function, last_name
from fastness.tool.project.source.walk import own, walk

_STARTS = frozenset(
    {"asyncio.run", "asyncio.loop.run_until_complete", "asgiref.sync.async_to_sync()", "anyio.run", "uvloop.run"}
)


@rule(severity=Severity.WARNING, practice="4.1", help="make the caller async and await, or use `anyio.from_thread.run`")
def check(service: Service) -> Iterator[Found]:
    entries: set[Function] = {entry.function for entry in loop.entries(service)}
    entries |= {route.handler for route in service.routes}
    entries |= {f for module in service.project.service for f in module.functions if f.is_async}
    chains = service.graph.nearest(entries, _kind, through=partial(loop.runs_here, service))
    reported = set()
    for chain in sorted((reached["loop"] for reached in chains.values()), key=lambda chain: len(chain.edges)):
        site = chain.last.site
        if site not in reported:
            reported.add(site)
            caller = "async" if chain.entry.is_async else "endpoint"
            message = f"{chain.last.target.path.replace('()', '')} is reached from {caller} {chain.entry.qualified}"
            yield found(site.scope, site.node, message, *told(chain, "starts another event loop"))


def _kind(call: Outward) -> str | None:
    return "loop" if call.target.path in _STARTS and not _has_none(call.site) else None


def _has_none(site: CallSite) -> bool:
    """It is asked first whether a loop runs: `try: get_running_loop() except RuntimeError: run(...)`."""
    function = site.scope
    for node in function.nodes if isinstance(function, Function) else ():
        if isinstance(node, ast.Try) and any(one is site.node for h in _refused(node) for one in walk(h)):
            return True
    return False


def _refused(node: ast.Try) -> list[ast.ExceptHandler]:
    """What is done when there is no running loop."""
    asks = any(isinstance(one, ast.Call) and last_name(one) == "get_running_loop" for one in own(node.body))
    return [handler for handler in node.handlers if "RuntimeError" in caught(handler)] if asks else []


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

        def settled():
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                asyncio.run(consume())
            else:
                loop.create_task(consume()).add_done_callback(print)

        @app.post("/settled")
        async def settle():
            settled()

        @celery.task
        def report():
            asyncio.run(consume())

        @app.post("/consumers")
        async def start():
            threading.Thread(target=consumer, daemon=True).start()
            report.delay()
    """,
        "where no loop runs one may start: in a thread, in a worker's task that the endpoint only queues, or after a look",
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
