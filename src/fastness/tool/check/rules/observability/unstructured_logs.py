"""Requests are logged with `print`.

What is printed has no level, time, logger or request id: it cannot be filtered or switched off, two requests that run at once
cannot be told apart, and a traceback is dozens of unrelated lines to whatever collects them.

Log with `logging` or structlog, as JSON, with the request's id in every line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import CallSite


@rule(severity=Severity.INFO, practice="8.1", help="log with `logging` or structlog, as JSON, with the request's id")
def check(service: Service) -> Iterator[Found]:
    running = reach.from_requests(service)
    places = {function.module for function in running}
    prints = [
        site
        for module in service.project.service
        if module in places
        for site in module.calls_by_name.get("print", ())
        if site.scope in running and _prints(service, site)
    ]
    if prints:
        first = prints[0]
        evidence = [proof(site.scope, site.node, "and here") for site in prints[1:10]]
        yield found(first.scope, first.node, "requests print instead of logging", *evidence, count=len(prints))


def _prints(service: Service, site: CallSite) -> bool:
    """The builtin, onto the process's own output."""
    if not isinstance(site.node.func, ast.Name) or any(keyword.arg == "file" for keyword in site.node.keywords):
        return False
    return service.resolver.calls(site, "print")


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()

        def store(order):
            print("stored", order)  # found

        @app.post("/orders")
        def create(order: str):
            store(order)
            print("created")
    """),
    Good(
        """
        import logging
        from fastapi import FastAPI

        app = FastAPI()
        logger = logging.getLogger(__name__)

        @app.post("/orders")
        def create(order: str):
            logger.info("created %s", order)

        def main():
            print("usage: app")
    """,
        "a command line prints, requests log",
    ),
    Good(
        """
        import io
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/report")
        def report():
            out = io.StringIO()
            print("total", 3, file=out)
            return out.getvalue()
    """,
        "it prints into a text",
    ),
    Good(
        """
        from fastapi import FastAPI
        from app.paper import print

        app = FastAPI()

        @app.post("/labels")
        def label():
            print("label")
    """,
        "another thing of that name",
    ),
]
