"""Code walks `app.routes` as if it listed every route.

Since FastAPI 0.137 an included router is one entry of `app.routes`, and `scope["route"].path` lacks the prefixes under which
the route was included. Nothing fails: operation ids are no longer set, a guard that looks for protected paths finds none, and
metrics count different routes as one.

Use `fastapi.routing.iter_route_contexts(app.routes)`, which yields every route with its full path.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import versions
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function, Scope

_REQUESTS_APP = re.compile(r"(?:\w+\.)*(?:request|req|websocket)\.app(?:\.router)?\.routes")
_ROUTE = re.compile(r"(?:(?:\w+\.)*scope)(?:\[['\"]route['\"]\]|\.get\(['\"]route['\"]\))\.(?:path|path_format)$")
_NESTED = ("iter_route_contexts", "_IncludedRouter", "effective_routes")


@rule(severity=Severity.ERROR, practice="1.3", help="use `fastapi.routing.iter_route_contexts(app.routes)`")
def check(service: Service) -> Iterator[Found]:
    if not versions.routes_are_nested(service):
        return
    for module in service.project.service:
        if not module.mentions(".routes", "scope"):
            continue
        scopes: list[Scope] = [module, *module.functions]
        for scope in scopes:
            if not _knows_better(scope):
                yield from _in(service, module, scope)


def _in(service: Service, module: Module, scope: Scope) -> Iterator[Found]:
    for node in _own(scope):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            walked = _walked(node.iter)
            if walked is not None and _are_routes(service, walked, scope):
                yield found(module, walked, f"{ast.unparse(walked)} does not list the routes of included routers")
        elif isinstance(node, ast.Attribute) and _ROUTE.fullmatch(ast.unparse(node)):
            yield found(module, node, f"{ast.unparse(node)} lacks the prefixes of includes")


def _own(scope: Scope) -> Iterator[ast.AST]:
    body = scope.node.body if isinstance(scope, Function) else scope.tree.body if isinstance(scope, Module) else []
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(ast.iter_child_nodes(node))


def _walked(node: ast.expr) -> ast.Attribute | None:
    """`x.routes`, also inside of `list()`, `enumerate()`, `reversed()` and `sorted()`."""
    while isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name):
        node = node.args[0]
    return node if isinstance(node, ast.Attribute) and node.attr == "routes" else None


def _are_routes(service: Service, node: ast.Attribute, scope: Scope) -> bool:
    if _REQUESTS_APP.fullmatch(ast.unparse(node)):
        return True
    # A router's own list is complete as long as it includes no other.
    router = service.router_of(node.value, scope)
    if router is not None:
        return router.is_app or bool(router.includes)
    values = service.resolver.infer(node.value, scope)
    return any(isinstance(v, External) and v.path in {"fastapi.FastAPI()", "fastapi.FastAPI().router"} for v in values)


def _knows_better(scope: Scope) -> bool:
    """The code descends into what it finds."""
    if not isinstance(scope, Function):
        return False
    text = ast.unparse(scope.node)
    if any(name in text for name in _NESTED):
        return True
    calls = {site.name for site in scope.calls}
    return (
        scope.name in calls or "getattr(route, 'routes'" in text or (text.count(".routes") > 1 and ".original_router" in text)
    )


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, FastAPI, Request
        from fastapi.routing import APIRoute

        router = APIRouter()
        app = FastAPI()
        app.include_router(router)

        for route in app.routes:  # found
            if isinstance(route, APIRoute):
                route.operation_id = route.name

        @app.middleware("http")
        async def guard(request: Request, call_next):
            protected = [r.path for r in request.app.routes]  # found
            name = request.scope["route"].path  # found
            return await call_next(request)

        def use_names(app: FastAPI) -> None:
            for route in list(app.routes):  # found
                print(route)
    """),
    Good(
        """
        # file: requirements.txt
        fastapi==0.115.2
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()
        for route in app.routes:
            route.operation_id = route.name
    """,
        "before 0.137 the list is flat",
    ),
    Good(
        """
        from fastapi import FastAPI
        from fastapi.routing import iter_route_contexts

        app = FastAPI()

        def names(app: FastAPI):
            return [context.path for context in iter_route_contexts(app.routes)]
    """,
        "this is the way",
    ),
    Good(
        """
        from fastapi import APIRouter

        router = APIRouter()

        @router.get("/a")
        def a(): ...

        class Plane:
            routes = ["north"]

        for route in router.routes:
            print(route)
        for route in Plane().routes:
            print(route)
    """,
        "a router that includes none holds all of its routes; other things have routes too",
    ),
    Good(
        """
        from fastapi import FastAPI

        def names(app: FastAPI, found=()):
            for route in app.routes:
                found += names(route) if hasattr(route, "routes") else (route.name,)
            return found
    """,
        "it descends",
    ),
]
