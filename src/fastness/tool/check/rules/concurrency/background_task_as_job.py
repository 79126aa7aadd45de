"""Work that must happen is left to a background task.

A `BackgroundTasks` task lives in the process's memory and runs after the response: a deployment, a crash or an exception
loses it, nobody retries it, and no one is told. That is right for a log line or a warm cache, and wrong for mail, money and
stored data: the client got its 200.

Enqueue a job in the same transaction as the data that it belongs to, and let a worker run it with retries.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.knowledge import work
from fastness.tool.check.knowledge.chains import told
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.calls import Outward
from fastness.tool.project.symbols import CallSite, Function
from fastness.tool.project.values import External, FunctionValue

_TASKS = ("fastapi.BackgroundTasks()",)


@rule(severity=Severity.WARNING, practice="4.3", help="enqueue a job with the transaction, and let a worker run and retry it")
def check(service: Service) -> Iterator[Found]:
    tasks = [
        (site, value)
        for module in service.project.service
        for site in module.calls_by_name.get("add_task", ())
        if _is_background(service, site)
        for value in service.resolver.infer(site.argument("func", 0), site.scope)
    ]
    functions = {value.definition for _, value in tasks if isinstance(value, FunctionValue)}
    chains = service.graph.nearest(functions, _kind, through=lambda edge: not edge.target.module.is_test)
    for site, value in tasks:
        if isinstance(value, FunctionValue) and (reached := chains.get(value.definition)):
            what = sorted(reached)
            message = (
                f"{value.definition.qualified} {' and '.join(what)}, but runs as a background task: lost when the process ends"
            )
            yield found(site.scope, site.node, message, *told(reached[what[0]], what[0]))
        elif isinstance(value, External) and (lost := work.durable(value.path)):
            yield found(
                site.scope, site.node, f"{value.last} {lost}, but runs as a background task: lost when the process ends"
            )


def _is_background(service: Service, site: CallSite) -> bool:
    paths = {value.path for value in service.resolver.targets(site) if isinstance(value, External)}
    return bool(paths & {f"{tasks}.add_task" for tasks in _TASKS}) and isinstance(site.scope, Function)


def _kind(call: Outward) -> str | None:
    return work.durable(call.target.path)


EXAMPLES = [
    Bad("""
        import smtplib
        from fastapi import BackgroundTasks, FastAPI

        app = FastAPI()

        def send_welcome(address):
            with smtplib.SMTP("localhost") as server:
                server.sendmail("us", address, "welcome")

        @app.post("/users")
        def create(address: str, tasks: BackgroundTasks):
            tasks.add_task(send_welcome, address)  # found
    """),
    Good(
        """
        import logging
        from fastapi import BackgroundTasks, FastAPI

        app = FastAPI()
        logger = logging.getLogger(__name__)

        def note(address):
            logger.info("created %s", address)

        @app.post("/users")
        def create(address: str, tasks: BackgroundTasks):
            tasks.add_task(note, address)
    """,
        "a log line may be lost",
    ),
    Good(
        """
        class Queue:
            def add_task(self, function):
                pass

        def deliver():
            pass

        def enqueue(queue: Queue):
            queue.add_task(deliver)
    """,
        "the project's own queue is not BackgroundTasks",
    ),
    Good(
        """
        import os
        from fastapi import BackgroundTasks, FastAPI
        from fastapi.responses import FileResponse
        from redis import Redis

        app = FastAPI()
        redis = Redis()

        def forget(key):
            redis.delete(key)
            redis.incr("exports")

        @app.get("/export")
        def export(tasks: BackgroundTasks):
            tasks.add_task(os.remove, "export.csv")
            tasks.add_task(forget, "export")
            return FileResponse("export.csv", background=tasks)
    """,
        "a file that was sent is removed, a cache is told, a metric counted: the next request does without",
    ),
]
