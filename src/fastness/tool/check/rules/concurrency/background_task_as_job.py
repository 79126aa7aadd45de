"""Work that must happen is left to a background task.

A `BackgroundTasks` task lives in the process's memory and runs after the response: a deployment, a crash or an exception
loses it, nobody retries it, and no one is told. That is right for a log line or a warm cache, and wrong for mail, money and
stored data: the client got its 200.

Enqueue a job in the same transaction as the data that it belongs to, and let a worker run it with retries.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.running import work
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Chain, Outward
from fastness.tool.project.names.values import External, FunctionValue, Value
from fastness.tool.project.source.symbols import CallSite, Function, constant

_TASKS = ("fastapi.BackgroundTasks()",)
_POSTS = "posts"
_WAITS = "waits for minutes before it works"
_LONG = 60  # seconds: shorter than that is a pause
_SLEEPS = frozenset({"asyncio.sleep", "time.sleep", "anyio.sleep", "trio.sleep"})


@rule(severity=Severity.WARNING, practice="4.3", help="enqueue a job with the transaction, and let a worker run and retry it")
def check(service: Service) -> Iterator[Found]:
    tasks = [
        (site, value)
        for module in service.project.service
        for site in module.calls_by_name.get("add_task", ())
        if _is_background(service, site)
        for value in _run(service, site)
    ]
    functions = {value.definition for _, value in tasks if isinstance(value, FunctionValue)}
    chains = service.graph.nearest(functions, _kind, through=lambda edge: not edge.target.module.is_test)
    seen: set[int] = set()
    for site, value in tasks:
        if id(site.node) in seen:
            continue
        if isinstance(value, FunctionValue):
            reached = {_named(kind, chain): chain for kind, chain in chains.get(value.definition, {}).items()}
            what = sorted(kind for kind in reached if kind)
            if what:
                seen.add(id(site.node))
                does = f"{value.definition.qualified} {' and '.join(what)}"
                message = f"{does}, but runs as a background task: lost when the process ends"
                yield found(site.scope, site.node, message, *told(reached[what[0]], what[0]))
        elif isinstance(value, External) and (lost := work.durable(value.path)):
            seen.add(id(site.node))
            yield found(
                site.scope, site.node, f"{value.last} {lost}, but runs as a background task: lost when the process ends"
            )


def _run(service: Service, site: CallSite) -> Iterator[Value]:
    """What a task runs: the function, and in `add_task(in_pool, index, user)` what the project's own `in_pool` is given."""
    given = site.argument("func", 0)
    for value in service.resolver.infer(given, site.scope):
        yield value
        if isinstance(value, FunctionValue) and given is not None:
            call = ast.copy_location(ast.Call(given, site.node.args[1:], site.node.keywords), site.node)
            for function in service.graph.run_by(value.definition, replace(site, node=call)):
                yield FunctionValue(function)


def _is_background(service: Service, site: CallSite) -> bool:
    paths = {value.path for value in service.resolver.targets(site) if isinstance(value, External)}
    return bool(paths & {f"{tasks}.add_task" for tasks in _TASKS}) and isinstance(site.scope, Function)


def _kind(call: Outward) -> str | None:
    path = call.target.path
    if path in _SLEEPS and _is_long(call.site.argument("delay", 0)):
        return _WAITS
    return work.durable(path) or (_POSTS if work.posts(path) else None)


def _is_long(seconds: ast.expr | None) -> bool:
    """`600`, or `hours * 3600`: the product of what is known of it, the rest being at least one."""
    factors, known = [seconds], 1.0
    while factors:
        factor = factors.pop()
        if isinstance(factor, ast.BinOp) and isinstance(factor.op, ast.Mult):
            factors += [factor.left, factor.right]
        value = constant(factor)
        known *= value if isinstance(value, int | float) else 1
    return known >= _LONG


def _named(kind: str, chain: Chain) -> str:
    """What is lost: of what is sent over HTTP, mail and messages, when one of those who send it says so."""
    if kind != _POSTS:
        return kind
    names = [chain.entry.qualified, *(edge.target.qualified for edge in chain.edges)]
    senders = [name.lower() for name in names if work.is_mailer(name)]
    mails = any("mail" in name for name in senders)
    return "sends mail" if mails else "sends messages" if senders else ""


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
    Bad("""
        import asyncio
        import httpx
        from fastapi import BackgroundTasks, FastAPI

        app = FastAPI()

        class Provider:
            async def call(self, letter):
                async with httpx.AsyncClient() as client:
                    await client.post("https://example.org/letters", json=letter)

        async def send_welcome_email(address):
            await Provider().call({"to": address})

        async def forget(address, hours):
            await asyncio.sleep(hours * 3600)
            print("gone", address)

        @app.post("/users")
        async def create(address: str, tasks: BackgroundTasks):
            tasks.add_task(send_welcome_email, address)  # found
            tasks.add_task(forget, address, 24)  # found
    """),
    Good(
        """
        import asyncio
        import httpx
        from fastapi import BackgroundTasks, FastAPI

        app = FastAPI()

        async def count(name):
            await asyncio.sleep(2 * 0.5)
            httpx.post("https://example.org/events", json={"name": name}, timeout=3)

        @app.post("/users")
        async def create(address: str, tasks: BackgroundTasks):
            tasks.add_task(count, "created")
    """,
        "an event for statistics, a moment later",
    ),
    Bad("""
        from asyncio import get_running_loop, to_thread
        from functools import partial
        from fastapi import BackgroundTasks, FastAPI
        from sqlalchemy.orm import Session

        app = FastAPI()

        async def in_pool(function, *given):
            return await get_running_loop().run_in_executor(None, function, *given)

        async def later(work, order):
            await to_thread(partial(work, order))

        def store(order, session: Session):
            session.add(order)
            session.commit()

        @app.post("/orders")
        async def create(order: str, tasks: BackgroundTasks):
            tasks.add_task(in_pool, store, order)  # found

        @app.put("/orders")
        async def change(order: str, tasks: BackgroundTasks):
            tasks.add_task(later, order=order, work=store)  # found
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
    Bad("""
        import boto3
        import httpx
        from fastapi import BackgroundTasks, FastAPI

        app = FastAPI()
        bucket = boto3.client("s3")

        async def post(url: str, body: dict):
            async with httpx.AsyncClient() as client:
                await client.post(url, json=body)

        async def send_welcome_message(user: str):
            await post("https://chat.example.org/messages", {"to": user})

        async def warm(user: str):
            await post("https://cache.example.org", {"user": user})

        def keep(name: str, content: bytes):
            bucket.put_object(Bucket="scans", Key=name, Body=content)

        @app.post("/users")
        async def create(user: str, tasks: BackgroundTasks):
            tasks.add_task(send_welcome_message, user)  # found
            tasks.add_task(keep, user, b"")  # found
            tasks.add_task(warm, user)
    """),
]
