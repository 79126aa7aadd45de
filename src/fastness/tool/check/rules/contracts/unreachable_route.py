"""An earlier route answers everything that this one was written for.

Routes are tried in the order in which they were added, and the first whose path matches answers. `/{user_id}` before `/me`
takes every request for `/me`: with `user_id: int` the client gets a 422, with `str` the answer to another question. A second
route with the same method and path is never called at all.

Declare the fixed path before the one with the parameter; remove or rename duplicates. When the app is booted, its own routes
are asked which of them answers, across routers, prefixes and mounts.

The fix moves the later function above the one that hides it, where only definitions stand between them, none of which it uses
and none of which it would hide in its turn. Which of two routes with the same path is meant, a person must say.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge.facts import paths
from fastness.tool.check.knowledge.facts.order import again, matches, mounted_over, tried
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.repair import Repair, body_of, bound, function_at, moved_up, used_to_define
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Include, Mount, Route, Router
from fastness.tool.project.source.symbols import Function


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
    if served is None:
        for app in service.apps:
            yield from _across(app, reported)
            yield from _below_mounts(app, reported)
            yield from _served_twice(app)


def _across(app: Router, reported: set[int]) -> Iterator[Found]:
    """What a router that is included earlier hides of those that are included later."""
    before: dict[tuple[str, ...], list[tuple[str, Route]]] = {}
    for path, later in tried(app):
        fixed = paths.fixed(path)
        near = (one for length in range(len(fixed) + 1) for one in before.get(fixed[:length], ()))
        first = next((one for one in near if one[1].router is not later.router and matches(*one, path, later)), None)
        if first is not None and first[1].handler is not later.handler and id(later.call) not in reported:
            reported.add(id(later.call))
            yield _fault(first[1], later, first[0], path)
        before.setdefault(fixed, []).append((path, later))


def _below_mounts(app: Router, reported: set[int]) -> Iterator[Found]:
    """What is mounted answers everything below its path, with a 404 if it has nothing there: one finding per mount."""
    hidden: dict[Mount, list[tuple[str, Route]]] = {}
    for mount, path, route in mounted_over(app):
        if id(route.call) not in reported:
            hidden.setdefault(mount, []).append((path, route))
    for mount, ((path, first), *others) in hidden.items():
        evidence = [proof(mount.scope, mount.call, "it is mounted first")]
        evidence += [proof(other.handler, other.handler.node, "this one neither") for _, other in others]
        method = "/".join(sorted(first.methods))
        message = f"{method} {path} ({first.handler.qualified}) is never reached: the mount at {mount.path or '/'} answers"
        yield found(first.handler, first.handler.node, message, *evidence, count=1 + len(others))


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


def _fault(earlier: Route, later: Route, at: str | None = None, path: str | None = None) -> Found:
    at, path = at or earlier.path, path or later.path
    method = "/".join(sorted(later.methods))
    how = "has the same path" if at == path else f"matches {path} too"
    first = earlier.handler.qualified
    message = f"{method} {path} ({later.handler.qualified}) is never reached: {first}, declared earlier, {how}"
    evidence = proof(earlier.handler, earlier.handler.node, f"{method} {at} is tried first")
    return found(later.handler, later.handler.node, message, evidence)


def _hides(earlier: Route, later: Route) -> bool:
    return earlier.path is not None and later.path is not None and matches(earlier.path, earlier, later.path, later)


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


def _served_twice(app: Router) -> Iterator[Found]:
    """A router that is included where another router, which is included as well, has it already."""
    for path, include, other in again(app):
        evidence = proof(other.scope, other.call, "it is included here, and what includes it is served too")
        yield found(include.scope, include.call, f"this router is served a second time at the same place: {path}", evidence)


def fix(service: Service, finding: Finding) -> Repair | str:
    """Move the route above the first one that hides it."""
    handler = function_at(service, finding)
    routes = [route for route in service.routes if route.handler is handler]
    if handler is None or not routes:
        return "it is the order of `include_router` that decides"
    if len(routes) > 1 or routes[0].router is None:
        return "the function is declared as several routes, or on a router that cannot be told"
    above = routes[0].router.routes[: routes[0].router.routes.index(routes[0])]
    first = next((route.handler for route in above if _hides(route, routes[0])), None)
    body = body_of(handler)
    if first is None or handler.node not in body or first.node not in body:
        return "the two routes are not declared side by side"
    between = body[body.index(first.node) : body.index(handler.node)]
    return _obstacle(service, routes[0], between) or Repair(moved_up(handler.module, handler.node, first.node))


def _obstacle(service: Service, later: Route, between: Sequence[ast.stmt]) -> str | None:
    """Why a route must not be moved above these statements, None when it may."""
    if any(_hides(later, route) for route in service.routes if route.handler.node in between):
        return "it would hide a route in its turn: both match the same requests"
    if not all(isinstance(statement, _QUIET) for statement in between):
        return "what stands between the two routes may depend on their order"
    if not bound(between).isdisjoint({later.handler.name, *used_to_define(later.handler.node)}):
        return "it uses what is defined between the two routes"
    return None


_QUIET = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter(prefix="/teams")


        @router.get("/{team_id}")
        def one(team_id: int): ...


        class Team:
            name = "mine"


        # The team of who asks.
        @router.get("/mine")
        def mine():  # found
            return Team


        @router.get("/other/{name}")
        def other(name: str): ...


        app.include_router(router)
    """),
    Bad(
        """
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        router = APIRouter()

        @router.get("/teams/{team_id}")
        def one(team_id: int): ...

        class Team: ...

        @router.get("/teams/mine")
        def mine() -> Team: ...  # found

        @router.get("/{kind}/{name}")
        def any_of(kind: str, name: str): ...

        app.include_router(router)

        @router.get("/teams/late")
        def late(): ...  # found
    """,
        by_hand=2,
    ),
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
    Bad(
        """
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
    """,
        by_hand=2,
    ),
    Bad(
        """
        from fastapi import APIRouter, FastAPI

        health = APIRouter()
        api = APIRouter()
        v1 = APIRouter(prefix="/v1")

        @health.get("/health")
        def alive(): ...

        api.include_router(health)
        v1.include_router(health)

        def create_app():
            app = FastAPI()
            app.include_router(api)
            app.include_router(v1)
            app.include_router(health)  # found
            return app

        app = create_app()
    """,
        by_hand=1,
    ),
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
    Good(
        """
        from fastapi import APIRouter, FastAPI

        app = FastAPI()
        admin = FastAPI()
        files = APIRouter(prefix="/files")

        @files.api_route("/{name}", methods=["GET", "HEAD"])
        def read(name: str): ...

        @files.post("/{name}")
        def write(name: str): ...

        @files.get("/{name}/{path:path}")
        def below(name: str, path: str): ...

        @app.get("/users/{user_id:int}")
        def one(user_id: int): ...

        @app.get("/users/me")
        def me(): ...

        @admin.get("/users/me")
        def admins_me(): ...

        app.include_router(files)
        app.mount("/admin", admin)

        @app.get("/{path:path}")
        def page(path: str): ...
    """,
        "a path for everything comes last, and a path that looks the same answers other methods or another app",
    ),
    Good(
        """
        from fastapi import APIRouter

        def login_with(provider: str) -> APIRouter:
            router = APIRouter(prefix=f"/{provider}")

            @router.get("/login")
            def login(): ...

            return router

        router = APIRouter()
        router.include_router(login_with("one"))
        router.include_router(login_with("another"))
    """,
        "a function that makes a router for each call",
    ),
]
