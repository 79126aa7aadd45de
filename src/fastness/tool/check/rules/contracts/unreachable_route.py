"""An earlier route answers everything that this one was written for.

Routes are tried in the order in which they were added, and the first whose path matches answers. `/{user_id}` before `/me`
takes every request for `/me`: with `user_id: int` the client gets a 422, with `str` the answer to another question. A second
route with the same method and path is never called at all.

Declare the fixed path before the one with the parameter; remove or rename duplicates. When the app is booted, its own routes
are asked which of them answers, across routers, prefixes and mounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Include, Route, Router
from fastness.tool.project.symbols import Function

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CONVERTERS = {
    "int": "[0-9]+",
    "float": r"[0-9]+(\.[0-9]+)?",
    "path": ".*",
    "uuid": "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}",
}
_WITNESSES = {"int": "7", "float": "7.5", "path": "~a/~b", "uuid": "00000000-0000-4000-8000-000000000000"}


@rule(
    severity=Severity.ERROR,
    practice="1.1",
    fix=Fix.REVIEW,
    help="declare the more specific path first, and give every operation a path of its own",
)
def check(service: Service, served: Served | None) -> Iterator[Found]:
    if served is not None:
        yield from _at_boot(served)
    reported: set[int] = set()
    for router in service.routers:
        yield from _included_twice(router)
        routes = [route for route in router.routes if route.path is not None and _ordered(route, router)]
        for position, later in enumerate(routes):
            earlier = next((r for r in routes[:position] if r.call is not later.call and _hides(r, later)), None)
            if served is not None and served.routes(later.handler):
                continue
            if earlier is not None and id(later.call) not in reported:
                reported.add(id(later.call))
                yield _fault(earlier, later)


def _at_boot(served: Served) -> Iterator[Found]:
    """What the booted app itself says, once for each function however often it is included."""
    faults: dict[Function, list[tuple[BootedRoute, BootedRoute]]] = {}
    for later in served.app.routes:
        function = served.function(later.endpoint)
        if later.hidden_by is None or function is None:
            continue
        earlier = served.app.routes[later.hidden_by]
        if earlier.endpoint != later.endpoint:  # else the same function answers
            faults.setdefault(function, []).append((later, earlier))
    for function, pairs in faults.items():
        later, earlier = pairs[0]
        first = served.function(earlier.endpoint)
        how = "has the same path" if earlier.path == later.path else f"matches {later.path} too"
        name = first.qualified if first is not None else _name(earlier)
        message = f"{later.title} ({function.qualified}) is never reached: {name}, added earlier, {how}"
        evidence = [proof(first, first.node, f"{earlier.title} is tried first")] if first is not None else []
        yield found(function, function.node, message, *evidence, count=len(pairs), source="boot")


def _name(route: BootedRoute) -> str:
    """What is not the project's: a mount, or a function of FastAPI such as the one behind `/docs`."""
    return route.endpoint.name if route.endpoint is not None else f"the {route.kind} at {route.path or '/'}"


def _ordered(route: Route, router: Router) -> bool:
    """The order of this route among the router's others is the order of lines: all are declared in one file."""
    return route.handler.module is router.routes[0].handler.module


def _fault(earlier: Route, later: Route) -> Found:
    method = "/".join(sorted(later.methods))
    how = "has the same path" if earlier.path == later.path else f"matches {later.path} too"
    first = earlier.handler.qualified
    message = f"{method} {later.path} ({later.handler.qualified}) is never reached: {first}, declared earlier, {how}"
    evidence = proof(earlier.handler, earlier.handler.node, f"{method} {earlier.path} is tried first")
    return found(later.handler, later.handler.node, message, evidence)


def _hides(earlier: Route, later: Route) -> bool:
    if not later.methods <= earlier.methods or earlier.path is None or later.path is None:
        return False
    return bool(_pattern(earlier.path).fullmatch(_witness(later.path)))


@cache
def _pattern(path: str) -> re.Pattern[str]:
    pieces, position = [], 0
    for parameter in _PARAMETER.finditer(path):
        pieces += [re.escape(path[position : parameter.start()]), f"(?:{_CONVERTERS.get(parameter[2] or '', '[^/]+')})"]
        position = parameter.end()
    return re.compile("".join([*pieces, re.escape(path[position:])]))


@cache
def _witness(path: str) -> str:
    """A path that matches, and that fixed text of another route does not match by chance."""
    return _PARAMETER.sub(lambda parameter: _WITNESSES.get(parameter[2] or "", "~any"), path)


def _included_twice(router: Router) -> Iterator[Found]:
    seen: dict[tuple[int, str, int], Include] = {}
    for include in router.included_in:
        if include.prefix is None or include.parent is None:
            continue
        key = (id(include.parent), include.prefix, id(include.scope))
        first = seen.setdefault(key, include)
        if first is not include and first.call is not include.call and router.routes:
            evidence = proof(first.scope, first.call, "included here first")
            yield found(include.scope, include.call, "this router is included a second time under the same prefix", evidence)


EXAMPLES = [
    Bad(
        """
        # file: app/users.py
        from fastapi import APIRouter

        router = APIRouter(prefix="/users")

        @router.get("/{name}")
        def one(name: str) -> str: ...
        # file: app/me.py
        from fastapi import APIRouter

        router = APIRouter()

        @router.get("/users/me")
        def me() -> str: ...  # found

        @router.get("/static/logo")
        def logo() -> str: ...  # found
        # file: app/main.py
        from fastapi import FastAPI
        from starlette.routing import Mount, Router
        from app import me, users

        app = FastAPI()
        app.include_router(users.router, prefix="/v1")
        app.include_router(users.router, prefix="/v2")
        app.mount("/v1/static", Router())
        app.include_router(me.router, prefix="/v1")
        app.include_router(me.router, prefix="/v2")
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        names = APIRouter()
        fixed = APIRouter()

        @names.get("/users/{name}")
        def one(name: str) -> str: ...

        @fixed.get("/users/me")
        def me() -> str: ...

        @fixed.post("/users/{name}")
        def change(name: str) -> str: ...

        app.include_router(fixed)
        app.include_router(names)
    """,
        "the order of lines is not the order in which routers are included",
        booted=True,
    ),
    Bad("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter(prefix="/users")

        @router.get("/{user_id}")
        def one(user_id: int): ...

        @router.get("/me")
        def me(): ...  # found

        @router.post("/")
        def create(): ...

        @router.post("/")
        def create_again(): ...  # found

        app.include_router(router)
        app.include_router(router)  # found
    """),
    Good("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter()

        @router.get("/me")
        def me(): ...

        @router.get("/{user_id}")
        def one(user_id: int): ...

        @router.put("/me")
        def change(): ...

        @router.get("/number/{value:int}")
        def number(value: int): ...

        @router.get("/number/{name}")
        def named(name: str): ...

        @router.get("/{user_id}/posts")
        def posts(user_id: int): ...

        @router.get("/{user_id}/")
        def slash(user_id: int): ...

        app.include_router(router, prefix="/v1")
        app.include_router(router, prefix="/v2")
    """),
]
