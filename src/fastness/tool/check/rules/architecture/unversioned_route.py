"""The API has no version.

Without a version in the path, the first change that breaks a client breaks all of them on the same day; adding one later is
itself such a change.

Mount the routers under `/v1`, with the prefix of an include, a router or the app.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import apps
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route, Router
from fastness.tool.project.source.symbols import argument

_VERSION = re.compile(r"(?:^|/)v\d|\{version|(?:^|/)(?:latest|stable)(?:/|$)", re.IGNORECASE)
_OPERATIONS = re.compile(
    r"health|livez|readyz|startupz|metrics|docs|openapi|ping|version|webhook|favicon|robots|\.well-known|static|^/?$|callback",
    re.IGNORECASE,
)
_FEWEST = 3  # a handful of routes is a helper, not an API
_NEWEST = 0.1  # of the routes have a version: they came later, and the rest has none
_SHOWN = 10


@rule(severity=Severity.INFO, practice="1.3", help='mount the routers under a version, as in `prefix="/v1"`')
def check(service: Service, served: Served | None) -> Iterator[Found]:
    followed = {route for app in service.apps for route in apps.served(app)}
    lost = sum(route.router is not None and route not in followed for route in service.routes)
    for app in service.apps:
        if _versioned_app(app) or app.included_in:
            continue
        routes = [
            (route, paths) for route in apps.served(app) if not route.is_websocket and (paths := _paths(service, route, served))
        ]
        known = [(route, paths) for route, paths in routes if not any("{?}" in path for path in paths)]
        business = [(route, paths) for route, paths in known if not all(_OPERATIONS.search(path) for path in paths)]
        bare = [(route, paths) for route, paths in business if not any(map(_VERSION.search, paths))]
        if lost + len(routes) - len(known) > len(business):
            continue  # most is included in a way that cannot be followed
        versioned = len(business) - len(bare)
        if len(bare) < _FEWEST or versioned / len(business) > _NEWEST:
            continue
        path = bare[0][1][0]
        message = f"none of the {len(business)} business routes of this app has a version in its path, as {path}"
        if versioned:
            message = f"only {versioned} of the {len(business)} business routes of this app have a version, unlike {path}"
        found_in = {route for route, _ in bare}
        unversioned = {include.call: include for include in app.includes if found_in.intersection(apps.served(include.child))}
        places = sorted(unversioned.values(), key=lambda include: include.call.lineno)
        if places:
            rest = [proof(place.scope, place.call, "included without a version") for place in places[1:_SHOWN]]
            yield found(places[0].scope, places[0].call, message, *rest, count=len(bare))
        else:
            yield found(bare[0][0].handler, bare[0][0].handler.node, message, count=len(bare))


def _paths(service: Service, route: Route, served: Served | None) -> list[str]:
    booted = served.routes(route.handler) if served is not None else []
    return [one.path for one in booted] or service.prefixes(route)


def _versioned_app(app: Router) -> bool:
    root = argument(app.call, "root_path")
    return root is not None and bool(_VERSION.search(ast.unparse(root).strip("'\"")))


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter(prefix="/users")

        @router.get("/{id}")
        def one(id: int): ...

        @router.get("/list")
        def many(): ...

        @router.post("/new")
        def create(): ...

        app.include_router(router)  # found
    """),
    Bad("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter()
        newer = APIRouter(prefix="/v1")
        health = APIRouter()

        @health.get("/health")
        def alive(): ...

        @newer.get("/reports")
        def reports(): ...

        @router.get("/users")
        def users(): ...

        @router.get("/orders")
        def orders(): ...

        @router.get("/items")
        def items(): ...

        @router.get("/carts")
        def carts(): ...

        @router.get("/prices")
        def prices(): ...

        @router.get("/stores")
        def stores(): ...

        @router.get("/parcels")
        def parcels(): ...

        @router.get("/refunds")
        def refunds(): ...

        @router.get("/coupons")
        def coupons(): ...

        app.include_router(health)
        app.include_router(newer)
        app.include_router(router)  # found
    """),
    Good(
        """
        import os
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter()

        @router.get("/users/{id}")
        def one(id: int) -> int: ...

        @router.get("/orders")
        def many() -> int: ...

        @router.post("/new")
        def create() -> int: ...

        app.include_router(router, prefix="/" + "api v1".split()[-1])
    """,
        "the booted app knows the prefix",
        booted=True,
    ),
    Good("""
        from fastapi import APIRouter, FastAPI
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            prefix: str = "/api/v1"

        settings = Settings()
        app = FastAPI()
        router = APIRouter(prefix="/users")

        @router.get("/{id}")
        def one(id: int): ...

        @router.get("/list")
        def many(): ...

        @router.post("/new")
        def create(): ...

        @app.get("/healthz")
        def health(): ...

        app.include_router(router, prefix=settings.prefix)
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/healthz")
        def health(): ...

        @app.get("/v1/users")
        def users(): ...

        @app.get("/api/v1/orders")
        def orders(): ...

        @app.post("/{version}/orders")
        def create(version: str): ...
    """,
        "every decorator has the version, and what stands beside is for the platform",
    ),
    Good(
        """
        from fastapi import APIRouter, FastAPI
        from versions import include_each

        app = FastAPI()
        router = APIRouter()

        @router.get("/users")
        def users(): ...

        @router.get("/orders")
        def orders(): ...

        @router.get("/items")
        def items(): ...

        @router.get("/carts")
        def carts(): ...

        @app.get("/manual")
        def manual(): ...

        @app.get("/terms")
        def terms(): ...

        @app.get("/imprint")
        def imprint(): ...

        include_each(app, router, ["v1", "v2"])
    """,
        "a function that nobody can follow includes most of the routes",
    ),
]
