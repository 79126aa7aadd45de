"""Nothing tells whether the service can serve.

Without a readiness endpoint the platform sends requests to a process whose database is not reachable, or whose start-up is
not done, and a rolling deployment replaces working replicas with broken ones. A probe that returns a constant is liveness
only: it is well when everything else is not.

Answer at `/readyz` from a check of what requests need, with 503 until it passes, and to everybody: the platform has no
credentials. When the app is booted, what it serves decides, whoever wrote it; when it is probed, so does what it answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge.facts import apps, probes
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route, Router
from fastness.tool.project.source.module import Module

_PROVIDERS = ("fastness.health", "fastapi_healthcheck", "fastapi_health", "healthcheck", "py_healthcheck")
_FEWEST = 3


@rule(
    severity=Severity.WARNING,
    practice="10.2",
    help="answer at `/readyz` from a check of the database and whatever else requests need",
)
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    if served is not None:
        yield from _at_boot(service, served, probed)
        return
    if len(service.routes) < _FEWEST or _provided(service):
        return
    several = apps.alone(service, _FEWEST)
    if not several:
        app = apps.main(service)
        named = probes.declared(service, set(apps.served(app))) if app is not None else []
        yield from _of(service, app, named or probes.declared(service, set(service.routes)))
        return
    told: set[tuple[str, int]] = set()  # services may share the router that answers
    for here, app in several.items():
        beside = {route for route in service.routes if route.handler.module.path.startswith(here)}
        for fault in _of(service, app, probes.declared(service, {*apps.served(app), *beside})):
            if (fault.path, fault.line) not in told:
                told.add((fault.path, fault.line))
                yield fault


def _of(service: Service, app: Router | None, named: list[Route]) -> Iterator[Found]:
    if not named:
        if app is not None:
            count = len(set(apps.served(app))) or len(service.routes)
            yield found(app.scope, app.call, f"none of the {count} routes tells whether the service is ready")
        return
    first, asking = named[0], [probe for probe in named if probes.asks(service, probe)]
    if not asking:
        yield found(
            first.handler,
            first.handler.node,
            f"{probes.full_path(service, first)} checks nothing: it is alive when the database is not",
        )
    elif all(probes.wants_login(service, probe) for probe in asking):
        message = f"{probes.full_path(service, asking[0])} refuses whom it does not know, and a platform has no credentials"
        yield found(asking[0].handler, asking[0].handler.node, message)


def _at_boot(service: Service, served: Served, probed: Probed | None) -> Iterator[Found]:
    operations = list(served.app.operations)
    if len(operations) < _FEWEST:
        return
    plain = [
        route
        for route in served.app.routes
        if route.kind in ("api", "plain") and probes.READS & set(route.methods or probes.READS)
    ]
    named = probes.named([(route.path, bool(route.parameters), route) for route in plain])
    if not named:
        message = f"none of the {len(operations)} operations tells whether the service is ready"
        yield replace(served.at_app(message), source="boot")
        return
    functions = [function for route in named if (function := served.function(route.endpoint)) is not None]
    own = [route for route in service.routes if route.handler in functions]
    if len(functions) == len(named) and own and not any(probes.asks(service, route) for route in own):
        message = f"{named[0].path} checks nothing: it is alive when the database is not"
        yield found(functions[0], functions[0].node, message, source="boot")
    elif probed is not None and (refused := _refused(named, probed)):
        message = f"{named[0].path} answers {refused} without credentials, and a platform has none"
        yield replace(_at_route(served, named[0], message), source="probe")


def _refused(named: list[BootedRoute], probed: Probed) -> int | None:
    """The status with which every probe refuses who is not logged in; None when one of them lets everybody in."""
    answers = [called.answer.status for called in probed.called if called.route in named]
    return answers[0] if answers and all(status in (401, 403) for status in answers) else None


def _at_route(served: Served, route: BootedRoute, message: str) -> Found:
    function = served.function(route.endpoint)
    return served.at_app(message) if function is None else found(function, function.node, message)


def _provided(service: Service) -> bool:
    def provides(module: Module) -> bool:
        return any(f"{name}.{member}".startswith(_PROVIDERS) for name, member, *_ in module.imported)

    return any(provides(module) for module in service.project.service)


_OTHERS = """
        @app.get("/b")
        def b(): ...

        @app.get("/c")
        def c(): ...
"""

EXAMPLES = [
    Bad(
        """
        from fastapi import FastAPI
        app = FastAPI()  # found
        @app.get("/a")
        def a(): ...
    """
        + _OTHERS
    ),
    Bad(
        """
        from fastapi import Depends, FastAPI
        def log(): ...
        app = FastAPI(dependencies=[Depends(log)])
        @app.get("/health")
        def health():  # found
            return {"status": "ok"}
    """
        + _OTHERS
    ),
    Bad(
        """
        import json
        from datetime import datetime
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel
        class Settings:
            version = "1"
        class Answer(BaseModel):
            data: dict
            at: str
        def settings():
            return Settings()
        def success(data):
            return Answer(data=json.loads(json.dumps(data)), at=datetime.now().isoformat())
        app = FastAPI()
        @app.get("/health")
        async def health(settings=Depends(settings)):  # found
            return success({"status": "ok", "version": settings.version})
    """
        + _OTHERS
    ),
    Bad(
        """
        from fastapi import Depends, FastAPI, HTTPException
        from sqlalchemy import create_engine, text
        from starlette.authentication import requires
        engine = create_engine("sqlite://")
        app = FastAPI()
        @app.get("/health")
        @requires("authenticated")
        def health(request):  # found
            with engine.connect() as connection:
                connection.execute(text("select 1"))
    """
        + _OTHERS
    ),
    Bad(
        """
        from fastapi import Depends, FastAPI, HTTPException
        from sqlalchemy import create_engine, text
        engine = create_engine("sqlite://")
        app = FastAPI()
        def current_user(name: str = ""):
            if not name:
                raise HTTPException(401)
        def answers():
            with engine.connect() as connection:
                connection.execute(text("select 1"))
        @app.get("/health", dependencies=[Depends(current_user)])
        def health():  # found
            answers()
    """
        + _OTHERS
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer
        from sqlalchemy import create_engine, text
        engine = create_engine("sqlite://")
        app = FastAPI()
        router = APIRouter()
        def answers():
            with engine.connect() as connection:
                connection.execute(text("select 1"))
        class Checks:
            def __init__(self):
                answers()
        @router.get("/health")
        async def health(checks: Checks = Depends(), token=Depends(HTTPBearer(auto_error=False))):
            return {"more": token}
        app.include_router(router, prefix="/public")
        app.include_router(router, dependencies=[Depends(HTTPBearer())])
    """
        + _OTHERS,
        "what it calls asks the database; a login only shows more, and is wanted in one of two places",
    ),
    Bad(
        """
        from fastapi import Depends, FastAPI
        from fastapi.security import HTTPBearer
        app = FastAPI(dependencies=[Depends(HTTPBearer())])
        async def reachable(): ...
        @app.get("/readyz")
        async def ready() -> None:  # found
            await reachable()
        @app.get("/b")
        def b() -> None: ...
        @app.get("/c")
        def c() -> None: ...
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import APIRouter, FastAPI
        app = FastAPI()
        PLATFORM = "".join(["/he", "althz"])
        async def reachable(): ...
        async def ready() -> None:
            await reachable()
        app.add_api_route(PLATFORM, ready)
        @app.get("/b")
        def b() -> None: ...
        @app.get("/c")
        def c() -> None: ...
    """,
        "the booted app knows the path",
        booted=True,
    ),
    *(
        Good(
            f"""
        from fastapi import FastAPI
        app = FastAPI()
        async def reachable(): ...
        @app.{probe}
        async def ready():
            await reachable()
    """
            + _OTHERS
        )
        for probe in (
            'get("/__heartbeat__")',
            'get("/__health__")',
            'get("/isAlive")',
            'get("/service-alive")',
            'get("/readiness_check")',
            'get("/live-probe")',
            'get("/health.json")',
            'head("/health")',
        )
    ),
    Good("""
        from fastapi import FastAPI
        app = FastAPI()
        async def reachable(): ...
        @app.get("/readyz")
        async def ready():
            await reachable()
        @app.get("/livez")
        def live():
            return "ok"
        @app.get("/c")
        def c(): ...
    """),
    Good(
        """
        from fastapi import FastAPI
        from fastness import health

        app = FastAPI()
        app.include_router(health.router())

        @app.get("/a")
        def a(): ...
    """
        + _OTHERS,
        "a library brings the probes",
    ),
    Bad("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        plugins = APIRouter(prefix="/plugins")

        def all_of(): ...

        @plugins.put("/{name}/status")
        def switch(name: str):
            all_of()

        @plugins.get("/health")
        def of_plugins():
            return all_of()

        @plugins.get("/order-readiness")
        def of_orders():
            return all_of()

        @app.get("/status")
        def listed(limit: int = 10):
            return all_of()

        @app.get("/health")
        def health():  # found
            return {"status": "ok"}

        app.include_router(plugins)
    """),
    Good(
        """
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        checks = APIRouter(prefix="/api/v1/internal")

        async def reachable(): ...

        @app.get("/health")
        def health():
            return {"status": "ok"}

        @checks.get("/health/ready")
        async def ready():
            await reachable()

        @app.get("/b")
        def b(): ...

        app.include_router(checks)
    """,
        "the other of two probes checks",
    ),
    Bad("""
        from fastapi import APIRouter, FastAPI

        def create_app() -> FastAPI:
            app = FastAPI()
            app.include_router(router)
            return app

        router = APIRouter()

        @router.get("/b")
        def b(): ...

        @router.get("/c")
        def c(): ...

        app = create_app()

        @app.get("/health")
        def health():  # found
            return {"status": "ok"}
        # file: app/worker.py
        from fastapi import FastAPI

        internal = FastAPI()

        async def reachable(): ...

        @internal.get("/healthz")
        async def of_worker():
            await reachable()
    """),
    Bad("""
        # file: orders/main.py
        from fastapi import FastAPI
        app = FastAPI()
        @app.get("/health")
        def health():  # found
            return {"status": "ok"}
        @app.get("/orders")
        def orders(): ...
        app.get("/orders/{id}")(orders)
        # file: stock/main.py
        from fastapi import FastAPI
        app = FastAPI()
        async def reachable(): ...
        @app.get("/health")
        async def health():
            await reachable()
        @app.get("/stock")
        def stock(): ...
        app.get("/stock/{id}")(stock)
        # file: mails/main.py
        from fastapi import FastAPI
        app = FastAPI()  # found
        @app.get("/mails")
        def mails(): ...
        app.get("/mails/{id}")(mails)
        app.get("/mails/sent")(mails)
    """),
]
