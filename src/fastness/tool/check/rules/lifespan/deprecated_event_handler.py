"""Start-up and shutdown are declared as events.

`on_event` and `add_event_handler` are deprecated, and they do not run at all once the app is given a `lifespan`: nothing
fails, the resource is just not there. What start-up opened, shutdown must close in another function.

Use one `lifespan` context manager: what is opened before the `yield` is closed after it, also when start-up fails half-way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.symbols import CallSite, argument

_NAMES = ("on_event", "add_event_handler")
_EVENTS = {"startup", "shutdown"}


@rule(severity=Severity.WARNING, practice="2.6", fix=Fix.REVIEW, help="move both into one `lifespan` context manager")
def check(service: Service) -> Iterator[Found]:
    for module in service.project.readable:
        if module.is_test or not module.mentions(*_NAMES):
            continue
        for name in _NAMES:
            for site in module.calls_by_name.get(name, ()):
                event = argument(site.node, "event_type", 0)
                if isinstance(event, ast.Constant) and event.value in _EVENTS and _on_app(service, site):
                    yield found(
                        site.scope, site.node, f"{name}({event.value!r}) is deprecated, and ignored when a lifespan is set"
                    )


def _on_app(service: Service, site: CallSite) -> bool:
    called = site.node.func
    if not isinstance(called, ast.Attribute):
        return False
    if service.is_router(called.value, site.scope):
        return True
    # An app that is handed in without annotation; an SDK's own object is known to be something else.
    return not service.resolver.infer(called.value, site.scope) and ast.unparse(called.value).rpartition(".")[2].strip("_") in {
        "app", "application", "router", "api", "fastapi_app",
    }  # fmt: skip


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter()

        @app.on_event("startup")  # found
        async def start(): ...

        @router.on_event("shutdown")  # found
        async def stop(): ...

        app.add_event_handler("startup", start)  # found

        def register(app):
            @app.on_event("startup")  # found
            def inner(): ...
    """),
    Good("""
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from some_sdk import Client

        client = Client()

        @client.on_event("startup")
        def sdk(): ...

        @asynccontextmanager
        async def lifespan(app):
            yield

        app = FastAPI(lifespan=lifespan)
        TEXT = 'app.on_event("startup")'
    """),
]
