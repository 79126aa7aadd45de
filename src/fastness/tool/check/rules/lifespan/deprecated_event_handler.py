"""Start-up and shutdown are declared as events.

`on_event` and `add_event_handler` are deprecated, and they do not run at all once the app is given a `lifespan`: nothing
fails, the resource is just not there. What start-up opened, shutdown must close in another function.

Use one `lifespan` context manager: what is opened before the `yield` is closed after it, also when start-up fails half-way.

The fix writes one that calls the functions in the order in which they are registered now, and gives it to the app. It does so
where the app is made beside them and nothing else has events: an included router's would no longer run. To bring what is
opened and what is closed together is left to you.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastness.tool.check.knowledge.facts import versions
from fastness.tool.check.repair import Edit, Repair, argument_added, block, imported, lines_removed, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External, FunctionValue
from fastness.tool.project.routes import Router
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, Scope, argument, dotted

_NAMES = ("on_event", "add_event_handler")
_EVENTS = {"startup", "shutdown"}


@rule(severity=Severity.WARNING, practice="2.6", fix=Fix.REVIEW, help="move both into one `lifespan` context manager")
def check(service: Service) -> Iterator[Found]:
    for site in _sites(service):
        message = f"{site.name}({_event(site)!r}) is deprecated, and ignored when a lifespan is set"
        yield found(site.scope, site.node, message)


def _sites(service: Service) -> Iterator[CallSite]:
    for module in service.project.readable:
        if module.is_test or not module.mentions(*_NAMES):
            continue
        for name in _NAMES:
            for site in module.calls_by_name.get(name, ()):
                if _event(site) in _EVENTS and _on_app(service, site):
                    yield site


def _event(site: CallSite) -> str:
    event = argument(site.node, "event_type", 0)
    return str(event.value) if isinstance(event, ast.Constant) else ""


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


def fix(service: Service, finding: Finding) -> Repair | str:
    """One lifespan for all events of the app. Every finding has the same edits, which are made once."""
    if not versions.takes_lifespan(service):
        return "`lifespan` needs FastAPI 0.93, and the project asks for an older one"
    sites = sorted(_sites(service), key=lambda site: site.node.lineno)
    at = next(s for s in sites if _place(s) == (finding.path, finding.line, finding.column))
    app = service.router_of(_receiver(at), at.scope)
    if app is None or not app.is_app:
        return "it is not an app's, or which one's cannot be told"
    made = next(
        (one for one in _body(app.scope) if isinstance(one, ast.Assign | ast.AnnAssign) and one.value is app.call), None
    )
    if made is None:
        return "the app is not made by a statement of its own"
    reason = _others(service, app, sites)
    if reason is not None:
        return reason
    handlers = []
    for site in sites:
        handler = _decorated(site, app) if site.name == "on_event" else _added(service, site, app)
        if isinstance(handler, str):
            return handler
        handlers.append(handler)
    return _written(module_of(app.scope), app, made, handlers)


def _others(service: Service, app: Router, sites: Sequence[CallSite]) -> str | None:
    """What else has to do with the events of the app, or of what it includes: it would no longer run."""
    if any(argument(app.call, name) is not None for name in ("lifespan", "on_startup", "on_shutdown")) or _unpacks(app.call):
        return "the app has a lifespan, or events that it is made with"
    module = module_of(app.scope)
    if any(module_of(s.scope) is not module or service.router_of(_receiver(s), s.scope) is not app for s in sites):
        return "something else has events too, which would no longer run"
    for site in module.all_calls:
        if any(isinstance(given, ast.Name) and service.router_of(given, site.scope) is app for given in site.node.args):
            outside = [v.path for v in service.resolver.targets(site) if isinstance(v, External)]
            if any(path.partition(".")[0] not in _WITHOUT_EVENTS for path in outside):
                return f"{dotted(site.node.func) or site.name} is given the app, and may add events of its own"
    return None


_WITHOUT_EVENTS = frozenset({
    "fastapi", "starlette", "fastness", "uvicorn", "mangum", "prometheus_fastapi_instrumentator", "opentelemetry", "sentry_sdk",
    "fastapi_pagination", "sqladmin", "socketio", "print", "getattr", "setattr", "isinstance",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Handler:
    """A function that an event calls.

    Attributes:
        call: how a lifespan runs it.
        registration: removes what has the event call it.
    """

    event: str
    call: str
    registration: Edit


def _decorated(site: CallSite, app: Router) -> _Handler | str:
    """The function below `@app.on_event(...)`."""
    module, body = module_of(app.scope), _body(app.scope)
    function = next((f for f in module.functions if site.node in f.decorators and f.node in body), None)
    if function is None:
        return "what it decorates does not stand beside the app"
    if len(function.decorators) > 1:
        return f"what the other decorators make of {function.name} cannot be told"
    if len(_bindings(function.name, app.scope)) > 1:
        return f"{function.name} is defined more than once"
    first, last = site.node.lineno, site.node.end_lineno or site.node.lineno
    return _handler(site, function, function.name, lines_removed(module, first, last))


def _added(service: Service, site: CallSite, app: Router) -> _Handler | str:
    """The function that `app.add_event_handler(...)` registers."""
    statement = next((one for one in _body(app.scope) if isinstance(one, ast.Expr) and one.value is site.node), None)
    given = site.argument("func", 1)
    values = service.resolver.infer(given, site.scope)
    if statement is None or given is None or len(values) != 1 or not isinstance(values[0], FunctionValue) or not dotted(given):
        return "which function it registers cannot be told"
    function = values[0].definition
    if function.decorators:
        return f"what its decorators make of {function.name} cannot be told"
    last = statement.end_lineno or statement.lineno
    return _handler(site, function, dotted(given), lines_removed(module_of(app.scope), statement.lineno, last, above=True))


def _handler(site: CallSite, function: Function, name: str, registration: Edit | None) -> _Handler | str:
    if registration is None:
        return "its registration shares a line with something else"
    if any(default is None for parameter, default in function.parameters if parameter.arg not in {"self", "cls"}):
        return f"{name} takes arguments"
    if function.is_generator:
        return f"{name} is a generator"
    return _Handler(_event(site), f"{'await ' if function.is_async else ''}{name}()", registration)


def _written(module: Module, app: Router, made: ast.stmt, handlers: Sequence[_Handler]) -> Repair | str:
    manager = imported(module, "contextlib", "asynccontextmanager")
    iterator = imported(module, "collections.abc", "AsyncIterator")
    name = next((one for one in ("lifespan", "app_lifespan") if not _bindings(one, app.scope)), None)
    if manager is None or iterator is None or name is None:
        return "the names that it needs mean something else in this file"
    begin = [handler.call for handler in handlers if handler.event == "startup"]
    end = [handler.call for handler in handlers if handler.event == "shutdown"]
    lines = [f"@{manager[0]}", f"async def {name}(_: {text_of(module, app.call.func)}) -> {iterator[0]}[None]:"]
    lines += [f"    {call}" for call in begin]
    lines += ["    try:", "        yield", "    finally:", *(f"        {call}" for call in end)] if end else ["    yield"]
    start, _ = block(module, made)
    indent = " " * made.col_offset
    blank = 1 if indent else 2
    above = len(module.text[:start]) - len(module.text[:start].rstrip("\n")) - 1
    text = "\n" * max(blank - above, 0) * (not indent) + "".join(f"{indent}{line}\n" for line in lines) + "\n" * blank
    given = argument_added(module, app.call, f"lifespan={name}")
    edits = (Edit(module.path, start, start, text), given, *(handler.registration for handler in handlers))
    return Repair((*edits, *manager[1], *iterator[1]))


def _place(site: CallSite) -> tuple[str, int, int]:
    return module_of(site.scope).path, site.node.lineno, site.node.col_offset + 1


def _receiver(site: CallSite) -> ast.expr:
    called = site.node.func
    return called.value if isinstance(called, ast.Attribute) else called


def _body(scope: Scope) -> Sequence[ast.stmt]:
    return scope.node.body if isinstance(scope, Class | Function) else scope.tree.body


def _bindings(name: str, scope: Scope) -> list[object]:
    """What a name is bound to in a scope and in its module."""
    return [*scope.bindings.get(name, ()), *(module_of(scope).bindings.get(name, ()) if isinstance(scope, Function) else ())]


def _unpacks(call: ast.Call) -> bool:
    return any(keyword.arg is None for keyword in call.keywords)


EXAMPLES = [
    Bad("""
        import logging
        from fastapi import FastAPI

        log = logging.getLogger(__name__)
        app = FastAPI(
            title="shop",
        )


        # Opens what requests need.
        @app.on_event("startup")  # found
        async def start() -> None:
            log.info("open")


        def warm() -> None: ...


        app.add_event_handler("startup", warm)  # found


        @app.on_event("shutdown")  # found
        def stop() -> None:
            log.info("closed")
    """),
    Bad("""
        from fastapi import FastAPI

        def create_app() -> FastAPI:
            app = FastAPI()

            @app.on_event("startup")  # found
            async def start() -> None: ...

            return app
    """),
    Bad(
        """
        # file: requirements.txt
        fastapi==0.88.0
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.on_event("startup")  # found
        async def connect(): ...
    """,
        by_hand=1,
    ),
    Bad(
        """
        from fastapi import FastAPI
        from fastapi_utils.tasks import repeat_every
        from some_sdk import connect

        app = FastAPI()

        @app.on_event("startup")  # found
        @repeat_every(seconds=60)
        def tick() -> None: ...

        app.add_event_handler("shutdown", connect)  # found
    """,
        by_hand=2,
    ),
    Bad(
        """
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
    """,
        by_hand=4,
    ),
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
    Good(
        """
        from slack_bolt.async_app import AsyncApp
        from telethon import TelegramClient, events

        app = AsyncApp()
        api = TelegramClient("session", 1, "hash")

        @app.on_event("startup")
        async def ready(event): ...

        async def received(event): ...

        api.add_event_handler(received, events.NewMessage)
    """,
        "a client that is called app has handlers for what happens elsewhere",
    ),
    Good(
        """
        from app.bus import Application

        app = Application()

        @app.on_event("startup")
        def begin(): ...

        def register(router):
            router.on_event("message")
        # file: app/bus.py
        class Application:
            def on_event(self, name):
                return lambda function: function
    """,
        "an application of the project's own, and a name that is no event of an app",
    ),
]
