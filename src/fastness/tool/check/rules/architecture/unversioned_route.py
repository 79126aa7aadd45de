"""The API has no version.

Without a version in the path, the first change that breaks a client breaks all of them on the same day; adding one later is
itself such a change.

Mount the routers under `/v1`, with the prefix of an include, a router or the app.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge import apps
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route, Router
from fastness.tool.project.symbols import argument

_VERSION = re.compile(r"(?:^|/)v\d|\{version|(?:^|/)(?:latest|stable)(?:/|$)", re.IGNORECASE)
_OPERATIONS = re.compile(
    r"health|livez|readyz|startupz|metrics|docs|openapi|ping|version|webhook|favicon|robots|static|^/?$|callback", re.IGNORECASE
)
_FEWEST = 3  # a handful of routes is a helper, not an API


@rule(severity=Severity.INFO, practice="1.3", help='mount the routers under a version, as in `prefix="/v1"`')
def check(service: Service, served: Served | None) -> Iterator[Found]:
    for app in service.apps:
        if _versioned_app(app) or app.included_in:
            continue
        routes = [
            (route, paths)
            for route in apps.served(app)
            if not route.is_websocket and (paths := _paths(service, route, served))
        ]
        business = [(route, paths) for route, paths in routes if not all(_OPERATIONS.search(path) for path in paths)]
        if len(business) < _FEWEST or any(_VERSION.search(path) or "{?}" in path for _, paths in business for path in paths):
            continue
        place = min(app.includes, key=lambda include: include.call.lineno, default=None)
        message = f"none of the {len(business)} business routes of this app has a version in its path, as {business[0][1][0]}"
        if place is not None:
            yield found(place.scope, place.call, message, count=len(business))
        else:
            yield found(business[0][0].handler, business[0][0].handler.node, message, count=len(business))


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
]
