"""A start-up or shutdown handler never runs, because its app has a lifespan.

An app runs either its lifespan or its event handlers. Once it is given a lifespan, what `on_event` and `add_event_handler`
registered on it is kept and never called: the cache is not warmed, the pool not closed, and nothing says so.

Move the handler's work into the lifespan: before the `yield` what starts, after it what ends.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Router
from fastness.tool.project.source.symbols import CallSite, argument, constant

_EVENTS = {"startup", "shutdown"}


@rule(severity=Severity.ERROR, practice="2.6", fix=Fix.REVIEW, help="move its work into the lifespan")
def check(service: Service) -> Iterator[Found]:
    given = {id(app): evidence for app in service.routers if (evidence := _lifespan(app)) is not None}
    if not given:
        return
    for app in service.routers:
        for option in ("on_startup", "on_shutdown"):
            handlers = argument(app.call, option)
            if id(app) in given and handlers is not None and not _is_empty(handlers):
                yield found(app.scope, handlers, f"{option} is ignored: the app has a lifespan", given[id(app)])
    for module in service.project.readable:
        if module.is_test or not module.mentions("on_event", "add_event_handler"):
            continue
        for name in ("on_event", "add_event_handler"):
            for site in module.calls_by_name.get(name, ()):
                reached = _app(service, site)
                event = constant(argument(site.node, "event_type", 0))
                if event in _EVENTS and reached is not None and id(reached) in given:
                    message = f"this {event} handler never runs: the app has a lifespan"
                    yield found(site.scope, site.node, message, given[id(reached)])


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.List | ast.Tuple) and not node.elts)


def _app(service: Service, site: CallSite) -> Router | None:
    """The app or router that gets the handler; an untyped `app` parameter is the project's only app."""
    called = site.node.func
    if not isinstance(called, ast.Attribute):
        return None
    if ast.unparse(called.value).endswith(".router") and isinstance(called.value, ast.Attribute):
        called = called.value  # `app.router.on_startup` is the app's own
    known = service.router_of(called.value, site.scope)
    if known is not None:
        return known
    named = isinstance(called.value, ast.Name) and called.value.id in {"app", "application", "fastapi_app"}
    apps = service.apps
    unknown = service.is_router(called.value, site.scope) or not service.resolver.infer(called.value, site.scope)
    return apps[0] if named and unknown and len(apps) == 1 else None


def _lifespan(app: Router) -> Evidence | None:
    """Where the app is given its lifespan."""
    given = argument(app.call, "lifespan")
    if given is None or isinstance(given, ast.Constant):
        return None
    if isinstance(given, ast.IfExp):
        return None  # only sometimes
    return proof(app.scope, given, "the lifespan, which is run in its place")


EXAMPLES = [
    Bad("""
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            yield

        app = FastAPI(lifespan=lifespan)

        @app.on_event("startup")  # found
        async def warm(): ...

        def stop(): ...

        app.add_event_handler("shutdown", stop)  # found
        # file: app/plugin.py
        def register(app):
            @app.on_event("startup")  # found
            async def start(): ...
    """),
    Bad("""
        from fastapi import FastAPI
        from app.lifespan import lifespan

        def warm(): ...

        app = FastAPI(
            lifespan=lifespan,
            on_startup=[warm],  # found
        )
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.on_event("startup")
        async def warm(): ...
    """,
        "without a lifespan the handlers run; that they are deprecated is another rule's",
    ),
    Good(
        """
        from fastapi import APIRouter, FastAPI
        from app.lifespan import lifespan

        app = FastAPI(lifespan=lifespan)
        inner = FastAPI()
        router = APIRouter()

        @inner.on_event("startup")
        def of_another_app(): ...

        @router.on_event("startup")
        def of_a_router(): ...

        app.include_router(router)
    """,
        "another app has handlers of its own, and a router's are merged into the app's lifespan",
    ),
    Good(
        """
        from fastapi import FastAPI
        from app.lifespan import lifespan
        from some_sdk import Client

        app = FastAPI(lifespan=lifespan)
        client = Client()

        @client.on_event("startup")
        def connected(): ...

        @app.on_event("order_created")
        def created(): ...

        other = FastAPI(lifespan=None)

        @other.on_event("startup")
        def warm(): ...
    """,
        "an SDK's events, events that are not the lifespan's, and `lifespan=None`, which is none",
    ),
]
