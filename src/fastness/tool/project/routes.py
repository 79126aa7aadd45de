"""Apps, routers and path operations as values. How they are found in the sources is in `service`."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from fastness.tool.project.names.values import External
from fastness.tool.project.source.symbols import CallSite, Class, Function, Scope, argument

METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "trace"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(slots=True, eq=False)
class Include:
    """One `parent.include_router(child, prefix=...)`."""

    parent: Router | None
    child: Router
    prefix: str | None
    call: ast.Call
    scope: Scope


@dataclass(slots=True, eq=False)
class Mount:
    """One `app.mount("/static", files)`: whatever is mounted answers everything below its path."""

    path: str | None
    call: ast.Call
    scope: Scope


@dataclass(slots=True, eq=False)
class Router:
    """A `FastAPI()` or `APIRouter()`.

    Attributes:
        prefix: None when it cannot be told.
        dependencies: the `dependencies=[...]` that hold for everything in it.
    """

    call: ast.Call
    scope: Scope
    is_app: bool
    prefix: str | None
    dependencies: list[Dependency] = field(default_factory=list, repr=False)
    included_in: list[Include] = field(default_factory=list, repr=False)
    includes: list[Include] = field(default_factory=list, repr=False)
    routes: list[Route] = field(default_factory=list, repr=False)
    mounts: list[Mount] = field(default_factory=list, repr=False)


@dataclass(slots=True, eq=False)
class Dependency:
    """One `Depends(...)`, with what it calls when that is known.

    Attributes:
        target: the function, class, or external callable; None when it cannot be told.
        node: the `Depends(...)` expression, or the parameter it stands at.
        security: a `Security(...)`.
    """

    target: Function | Class | External | None
    node: ast.expr
    scope: Scope
    call: ast.Call | None = None
    parameter: str | None = None
    security: bool = False


@dataclass(slots=True, eq=False)
class Route:
    """One path operation, as one decorator or `add_api_route` declares it.

    Attributes:
        router: None when the router it is added to cannot be told.
        path: as declared, without prefixes; None when it is no literal.
        methods: upper case; `WEBSOCKET` for a websocket.
        handler: the endpoint.
        call: the decorator, or the call that adds the route.
    """

    router: Router | None
    path: str | None
    methods: frozenset[str]
    handler: Function
    call: ast.Call
    scope: Scope

    def option(self, keyword: str) -> ast.expr | None:
        """An argument of the decorator."""
        return argument(self.call, keyword)

    @property
    def is_websocket(self) -> bool:
        return "WEBSOCKET" in self.methods

    @property
    def writes(self) -> bool:
        return bool(self.methods & WRITES)


@dataclass(slots=True, eq=False)
class Middleware:
    """One middleware of an app: a class with options, or a function decorated with `@app.middleware("http")`."""

    app: Router | None
    cls: Class | External | None
    function: Function | None
    call: ast.Call
    scope: Scope
    site: CallSite | None = None
