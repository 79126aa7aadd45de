"""A route belongs to no service level objective.

Where objectives are written down, alerts, load checks and rollouts read them: what they do not name is not watched, and may
be as slow and as broken as it likes without anybody being told.

Name the route in the SLO of its kind, or in one of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import CallSite

_SLO = "fastness.slo.SLO"


@rule(severity=Severity.INFO, practice="0.4", help="name the route in an SLO")
def check(service: Service) -> Iterator[Found]:
    calls = (site for module in service.project.service for site in module.calls_by_name.get("SLO", ()))
    objectives = [site for site in calls if service.resolver.calls(site, _SLO)]
    listed = [_named(site) for site in objectives]
    if not objectives or None in listed:
        return
    named = {name for names in listed if names is not None for name in names}
    without = [
        route
        for route in service.routes
        if route.handler.module.is_service and not route.is_websocket and not _is_named(service, route, named)
    ]
    if without:
        names = ", ".join(next(iter(service.prefixes(route)), "") for route in without[:3])
        first = without[0].handler
        evidence = [proof(route.handler, route.handler.node, "neither is this one") for route in without[1:10]]
        yield found(first, first.node, f"no SLO names {names}", *evidence, count=len(without))


def _named(site: CallSite) -> set[str] | None:
    """The routes of an objective; None when they cannot be read."""
    routes = site.argument("routes", 1)
    if not isinstance(routes, ast.List | ast.Tuple | ast.Set):
        return None
    if not all(isinstance(element, ast.Constant) for element in routes.elts):
        return None
    return {str(element.value) for element in routes.elts if isinstance(element, ast.Constant)}


def _is_named(service: Service, route: Route, named: set[str]) -> bool:
    """An objective names the path; where the prefix is not known, its end is enough."""
    ends = tuple(path.rpartition("{?}")[2] for path in service.prefixes(route))
    if not ends:
        return True
    for name in named:
        method, _, path = name.rpartition(" ")
        if path.endswith(ends) and method in {"", *route.methods}:
            return True
    return False


EXAMPLES = [
    Bad("""
        # file: app/slo.py
        from fastness.slo import SLO, Availability

        SLOS = (SLO("orders", routes=("POST /v1/orders",), availability=Availability(0.999)),)
        # file: app/main.py
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter(prefix="/v1")

        @router.post("/orders")
        def create(): ...

        @router.get("/orders")
        def orders(): ...  # found

        app.include_router(router)
    """),
    Good(
        """
        # file: app/slo.py
        from fastness.slo import SLO, Availability

        SLOS = (SLO("orders", routes=("/v1/orders/{id}",), availability=Availability(0.999)),)
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/v1/orders/{id}")
        def order(id: int): ...

        @app.delete("/v1/orders/{id}")
        def delete(id: int): ...
    """,
        "a path without a method names all of its operations",
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def orders(): ...
    """,
        "no objectives are written down",
    ),
    Good(
        """
        from fastapi import FastAPI
        from fastness.slo import SLO, Availability
        from app.routes import ORDERS

        SLOS = (SLO("orders", routes=ORDERS, availability=Availability(0.999)),)
        app = FastAPI()

        @app.get("/orders")
        def orders(): ...
    """,
        "which routes they name is not written here",
    ),
]
