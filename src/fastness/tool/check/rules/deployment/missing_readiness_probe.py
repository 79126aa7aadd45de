"""Nothing tells whether the service can serve.

Without a readiness endpoint the platform sends requests to a process whose database is not reachable, or whose start-up is
not done, and a rolling deployment replaces working replicas with broken ones. A probe that returns a constant is liveness
only: it is well when everything else is not.

Answer at `/readyz` from a check of what requests need, with 503 until it passes, and to everybody: the platform has no
credentials. When the app is booted, what it serves decides, whoever wrote it; when it is probed, so does what it answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from fastness.tool.boot import Probed
from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge import apps
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import Function

_END = r"[-_]*(?:check\w*|probe|status)?_*(?:\.\w+)?"
_PROBE = re.compile(
    rf"(?:_*(?:livez?|up)|(?:.*[-_]|is)?(?:health[yz]?|readyz?|readiness|heartbeat|liveness|alive|startupz)){_END}",
    re.IGNORECASE,
)
_READY = re.compile(rf"_*(?:is[-_]?)?(?:readyz?|readiness){_END}", re.IGNORECASE)
_PERHAPS = re.compile(r"status|ping", re.IGNORECASE)  # of the service, or of something that it is about
_NEUTRAL = re.compile(
    r"api|v\d\w*|public|private|internal|utils?|system|monitor(?:ing)?|ops|common|base|_\w+|\{\?\}", re.IGNORECASE
)
_PROVIDERS = ("fastness.health", "fastapi_healthcheck", "fastapi_health", "healthcheck", "py_healthcheck")
_READS = frozenset({"GET", "HEAD"})
_FEWEST = 3
_R = TypeVar("_R")
# Calls that only build the answer.
_ANSWERS = frozenset(
    [
        "dict",
        "str",
        "now",
        "utcnow",
        "time",
        "isoformat",
        "round",
        "JSONResponse",
        "Response",
        "PlainTextResponse",
        "info",
        "debug",
        "getenv",
        "get",
        "get_settings",
        "Health",
        "HealthResponse",
    ]
) | {""}


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
    app = apps.main(service)
    probes = _own_probes(service, set(apps.served(app))) if app is not None else []
    probes = probes or _own_probes(service, set(service.routes))
    if not probes:
        if app is not None:
            yield found(app.scope, app.call, f"none of the {len(service.routes)} routes tells whether the service is ready")
    elif not any(_checks(service, probe) for probe in probes):
        probe = probes[0]
        yield found(
            probe.handler, probe.handler.node, f"{_full(service, probe)} checks nothing: it is alive when the database is not"
        )


def _at_boot(service: Service, served: Served, probed: Probed | None) -> Iterator[Found]:
    operations = list(served.app.operations)
    if len(operations) < _FEWEST:
        return
    plain = [route for route in served.app.routes if route.kind in ("api", "plain") and _READS & set(route.methods or _READS)]
    probes = _probes([(route.path, bool(route.parameters), route) for route in plain])
    if not probes:
        message = f"none of the {len(operations)} operations tells whether the service is ready"
        yield replace(served.at_app(message), source="boot")
        return
    functions = [function for route in probes if (function := served.function(route.endpoint)) is not None]
    own = [route for route in service.routes if route.handler in functions]
    if len(functions) == len(probes) and own and not any(_checks(service, route) for route in own):
        message = f"{probes[0].path} checks nothing: it is alive when the database is not"
        yield found(functions[0], functions[0].node, message, source="boot")
    elif probed is not None and (refused := _refused(probes, probed)):
        message = f"{probes[0].path} answers {refused} without credentials, and a platform has none"
        yield replace(_at_route(served, probes[0], message), source="probe")


def _refused(probes: list[BootedRoute], probed: Probed) -> int | None:
    """The status with which every probe refuses who is not logged in; None when one of them lets everybody in."""
    answers = [called.answer.status for called in probed.called if called.route in probes]
    return answers[0] if answers and all(status in (401, 403) for status in answers) else None


def _at_route(served: Served, route: BootedRoute, message: str) -> Found:
    function = served.function(route.endpoint)
    return served.at_app(message) if function is None else found(function, function.node, message)


def _full(service: Service, route: Route) -> str:
    return next(iter(service.prefixes(route)), route.path or "")


def _own_probes(service: Service, routes: set[Route]) -> list[Route]:
    read = [route for route in service.routes if route in routes and route.path is not None and _READS & route.methods]
    return _probes([(_full(service, route), _takes_input(service, route), route) for route in read])


def _takes_input(service: Service, route: Route) -> bool:
    injected = {dependency.parameter for dependency in service.parameters(route.handler)}
    return any(p.arg not in injected | {"self", "request", "req", "response"} for p, _ in route.handler.parameters)


def _probes(routes: list[tuple[str, bool, _R]]) -> list[_R]:
    """Those that speak of the whole service: with nothing before the probe's name in the path but `api`, a version and such.

    Args:
        routes: with their full paths, and whether they take something from the client.
    """
    found: dict[bool, list[tuple[int, str, _R]]] = {True: [], False: []}
    for path, takes, route in routes:
        parts = [part for part in path.split("/") if part]
        place = next((number for number, part in enumerate(parts) if _PROBE.fullmatch(part)), None)
        certain = place is not None
        if place is None and not takes and parts and _PERHAPS.fullmatch(parts[-1]):
            place = len(parts) - 1
        if place is not None and "{" not in path.replace("{?}", ""):
            before = sum(not _NEUTRAL.fullmatch(part) for part in parts[:place])
            found[certain].append((before, parts[place], route))
    named = found[True] or [one for one in found[False] if one[0] == 0]
    least = min((before for before, _, _ in named), default=0)
    return [route for before, name, route in named if before == least or _READY.fullmatch(name)]


def _checks(service: Service, route: Route) -> bool:
    """The endpoint asks something: awaits, calls into the project or a library, or depends on what does."""
    handler = route.handler
    if service.parameters(handler) or service.declared(route.option("dependencies"), route.scope):
        return True
    return handler.has_await or any(_is_question(handler, site.name) for site in handler.calls)


def _is_question(handler: Function, name: str) -> bool:
    return name not in _ANSWERS and name != handler.name


def _provided(service: Service) -> bool:
    def provides(module: Module) -> bool:
        return any(f"{name}.{member}".startswith(_PROVIDERS) for name, member, *_ in module.imported)

    return any(provides(module) for module in service.project.service)


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()  # found

        @app.get("/a")
        def a(): ...

        @app.get("/b")
        def b(): ...

        @app.get("/c")
        def c(): ...
    """),
    Bad("""
        from fastapi import Depends, FastAPI

        def log(): ...

        app = FastAPI(dependencies=[Depends(log)])

        @app.get("/health")
        def health():  # found
            return {"status": "ok"}

        @app.get("/b")
        def b(): ...

        @app.get("/c")
        def c(): ...
    """),
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
        Good(f"""
        from fastapi import FastAPI

        app = FastAPI()

        async def reachable(): ...

        @app.{probe}
        async def ready():
            await reachable()

        @app.get("/b")
        def b(): ...

        @app.get("/c")
        def c(): ...
    """)
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

        @app.get("/b")
        def b(): ...

        @app.get("/c")
        def c(): ...
    """,
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
]
