"""A retry never gives up.

Without a stop, a permanent failure is retried until the process ends: it hides behind the retries, holds whatever the
caller holds, and keeps an upstream that is trying to come back under load.

Bound the attempts or the time (`stop=stop_after_attempt(3)`), and wait longer between them. A deliberate `stop_never` is taken
at its word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.running import blocking
from fastness.tool.check.repair import Edit, Repair, argument_added, calls_at, imported, replaced, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import External
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, constant
from fastness.tool.project.source.walk import own

_TENACITY = ("tenacity.retry", "tenacity.Retrying", "tenacity.AsyncRetrying")
_BACKOFF = ("backoff.on_exception", "backoff.on_predicate")


@rule(severity=Severity.WARNING, practice="5.5", fix=Fix.SAFE, help="stop after a number of attempts or a time, and then fail")
def check(service: Service) -> Iterator[Found]:
    """Loops that a request is in, or something that a thread does over and over. What its target waits for is its purpose."""
    asked = reach.from_requests(service)
    for functions, who in ((asked, "a request"), (reach.from_threads(service) - asked, "a thread of the service")):
        for function in functions:
            for loop in function.nodes if function.module.is_service and function.module.mentions("while") else ():
                if isinstance(loop, ast.While) and _tries_again(service.resolver, function, loop):
                    yield found(function, loop, f"this loop tries again for ever, and {who} waits for it")


def each(module: Module, resolver: Resolver) -> Iterator[Found]:
    if module.mentions("tenacity", "backoff"):
        yield from _by_library(module, resolver)


def _by_library(module: Module, resolver: Resolver) -> Iterator[Found]:
    for name in ("retry", "Retrying", "AsyncRetrying"):
        for site in module.calls_by_name.get(name, ()):
            if resolver.calls(site, *_TENACITY) and not _has(site, "stop"):
                yield found(site.scope, site.node, "this retry has no `stop`: it retries for ever")
    for name in ("on_exception", "on_predicate"):
        for site in module.calls_by_name.get(name, ()):
            if resolver.calls(site, *_BACKOFF) and not _has(site, "max_tries", "max_time"):
                yield found(site.scope, site.node, "this retry has neither `max_tries` nor `max_time`: it retries for ever")
    for function in module.functions:
        for decorator in function.decorators:
            if not isinstance(decorator, ast.Call) and resolver.paths(decorator, function.parent) & set(_TENACITY):
                yield found(function, decorator, "a bare `@retry` retries for ever, without a pause")


def _tries_again(resolver: Resolver, function: Function, loop: ast.While) -> bool:
    """`while True: try: return await call() ... except: sleep()`: only success ends it, and it waits for something outside."""
    attempts = [statement for statement in loop.body if isinstance(statement, ast.Try)]
    if constant(loop.test) != 1 or len(attempts) != 1:
        return False
    (attempt,) = attempts
    ends = [node for node in own(loop.body) if isinstance(node, ast.Return | ast.Break | ast.Raise)]
    good = {id(node) for node in own([*attempt.body, *attempt.orelse])}
    if not _ends(attempt.orelse or attempt.body) or not all(id(node) in good for node in ends):
        return False
    if any("Empty" in ast.unparse(handler.type) for handler in attempt.handlers if handler.type is not None):
        return False  # it waits for work
    tried = {id(node) for node in own(attempt.body)}
    return any(
        site.awaited or any(isinstance(value, External) and blocking.kind(value.path) for value in resolver.targets(site))
        for site in function.calls
        if id(site.node) in tried
    )


def _ends(body: list[ast.stmt]) -> bool:
    """What these statements do last, whatever happens, is to leave the loop."""
    last = body[-1] if body else None
    return _ends(last.body) if isinstance(last, ast.With | ast.AsyncWith) else isinstance(last, ast.Return | ast.Break)


def _has(site: CallSite, *keywords: str) -> bool:
    return any(k.arg is None or k.arg in keywords for k in site.node.keywords)


def fix(service: Service, finding: Finding) -> Repair | None:
    """Three attempts; a bare `@retry` gets a pause between them as well. What keeps something running is asked about."""
    module = service.project.modules[finding.path]
    review = _keeps_running(module, finding)
    for site in calls_at(service, finding):
        if service.resolver.calls(site, *_BACKOFF):
            return Repair((argument_added(module, site.node, "max_tries=3"),), review)
        if service.resolver.calls(site, *_TENACITY):
            stop = _of_tenacity(module, site.node.func, "stop_after_attempt")
            return Repair((argument_added(module, site.node, f"stop={stop[0]}(3)"), *stop[1]), review) if stop else None
    for decorator in (one for function in module.functions for one in function.decorators):
        if (decorator.lineno, decorator.col_offset + 1) == (finding.line, finding.column):
            stop = _of_tenacity(module, decorator, "stop_after_attempt")
            wait = _of_tenacity(module, decorator, "wait_exponential")
            if stop and wait:
                text = f"{text_of(module, decorator)}(stop={stop[0]}(3), wait={wait[0]}(max=10))"
                return Repair((replaced(module, decorator, text), *stop[1], *wait[1]), review)
    return None


def _keeps_running(module: Module, finding: Finding) -> bool:
    """The function is a loop of its own, which the retry is there to start again."""
    for function in module.functions:
        if any(decorator.lineno == finding.line for decorator in function.decorators):
            endless = (node for node in ast.walk(function.node) if isinstance(node, ast.While))
            return bool(_LOOP.search(function.name)) or any(isinstance(node.test, ast.Constant) for node in endless)
    return False


_LOOP = re.compile(r"(?:^|_)(?:run|serve|start|watch|listen|consume|subscribe|poll|work|loop|forever)(?:_|$)")


def _of_tenacity(module: Module, used: ast.expr, name: str) -> tuple[str, tuple[Edit, ...]] | None:
    """Another name of the library, as the file would write it, and its import where it needs one."""
    if isinstance(used, ast.Attribute):
        return f"{text_of(module, used.value)}.{name}", ()
    return imported(module, "tenacity", name)


EXAMPLES = [
    Bad("""
        import backoff
        import tenacity
        from tenacity import retry, wait_fixed

        @retry(wait=wait_fixed(1))  # found
        def a(): ...

        @tenacity.retry  # found
        def b(): ...

        @backoff.on_exception(backoff.expo, ValueError)  # found
        def c(): ...
    """),
    Bad(
        """
        import asyncio
        import threading
        import time
        import httpx
        import requests
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/price")
        async def price(client: httpx.AsyncClient):
            while True:  # found
                try:
                    return (await client.get("https://prices.example.org")).json()
                except httpx.HTTPError:
                    await asyncio.sleep(1)

        def beat():
            while True:
                time.sleep(30)
                announce()

        def announce():
            while True:  # found
                try:
                    requests.post("https://hub.example.org/beat", timeout=3)
                    break
                except requests.RequestException:
                    time.sleep(5)

        threading.Thread(target=beat, daemon=True).start()

        class Outbox:
            def start(self):
                threading.Thread(target=empty, args=(self,)).start()

            def send(self):
                while True:  # found
                    try:
                        requests.post("https://hub.example.org/outbox", timeout=3)
                        break
                    except OSError:
                        time.sleep(5)

        def empty(outbox):
            while True:
                outbox.send()

        @app.get("/stock")
        def stock():
            while 1:  # found
                try:
                    with requests.Session() as session:
                        answer = session.get("https://stock.example.org", timeout=3)
                except requests.RequestException as error:
                    print(error)
                    time.sleep(2)
                else:
                    break
            return answer
    """,
        by_hand=4,
    ),
    Good(
        """
        import asyncio
        import queue
        import threading
        import requests
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/bounded")
        async def bounded(client, attempt=0):
            while True:
                try:
                    return await client.get("https://prices.example.org")
                except OSError:
                    attempt += 1
                    if attempt > 3:
                        raise

        @app.get("/consume")
        async def consume(stream):
            while True:
                try:
                    async for message in await stream.read():
                        print(message)
                except OSError:
                    await asyncio.sleep(1)

        @app.get("/drain")
        def drain(work: queue.Queue):
            while True:
                try:
                    order = work.get(timeout=1)
                    if order is None:
                        return
                    requests.post("https://orders.example.org", json=order, timeout=3)
                except OSError:
                    print("the next one then")

        @app.get("/number")
        def number():
            while True:
                try:
                    return int(input())
                except ValueError:
                    print("again")

        def wait_for_the_server():
            while True:
                try:
                    requests.get("https://orders.example.org", timeout=3)
                    break
                except OSError:
                    print("not yet")

        def connect():
            while True:
                try:
                    requests.get("https://events.example.org", timeout=3)
                    break
                except OSError:
                    print("not yet")

        threading.Thread(target=connect).start()
    """,
        "it counts, serves a stream, drains a queue, asks nothing outside, is a script's, or is what a thread is there for",
    ),
    Good("""
        from tenacity import retry, stop_after_attempt, stop_never

        OPTIONS = {"stop": stop_after_attempt(3)}

        @retry(stop=stop_after_attempt(3))
        def a(): ...

        @retry(stop=stop_never)
        def b(): ...

        @retry(**OPTIONS)
        def c(): ...

        def retry_order(): ...

        def d():
            while True:
                retry_order()
    """),
    Good(
        """
        # file: app/main.py
        import logging
        import backoff
        from tenacity import AsyncRetrying, stop_after_attempt, stop_after_delay
        from app.orders import retry

        def consume(queue):
            while True:
                try:
                    queue.get()
                except Exception:
                    logging.exception("the next one then")

        @retry
        def order(): ...

        @backoff.on_exception(backoff.expo, OSError, max_time=30)
        def send(): ...

        async def fetch():
            async for attempt in AsyncRetrying(stop=stop_after_attempt(3) | stop_after_delay(10)):
                with attempt:
                    return 1
        # file: app/orders.py
        def retry(function):
            return function
    """,
        "a consumer's loop is no retry, and neither is a `retry` of the project's own",
    ),
    Good(
        """
        import functools
        import tenacity

        patient = functools.partial(tenacity.retry, stop=tenacity.stop_after_delay(30))
        bounded = tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)

        @patient()
        def a(): ...

        @bounded
        def b(): ...
    """,
        "bounded where it is defined, and used under another name",
    ),
]
