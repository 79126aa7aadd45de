"""The model of a service: apps, routers, path operations, dependencies, middleware and handlers, found in the sources."""

from __future__ import annotations

import ast
import re
from functools import cached_property

from fastness.tool.project.dependencies import Dependencies
from fastness.tool.project.files.project import Project
from fastness.tool.project.files.requirements import Requirements
from fastness.tool.project.flow.calls import CallGraph
from fastness.tool.project.kept.notes import Notes
from fastness.tool.project.kept.reading import EVERYTHING, Reading
from fastness.tool.project.names import literals
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance
from fastness.tool.project.routes import METHODS, Include, Middleware, Mount, Route, Router
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, Scope, argument

_APP = "fastapi.FastAPI"
_ROUTER = "fastapi.APIRouter"
_ADDS = {"add_api_route": "endpoint", "add_api_websocket_route": "endpoint"}
_ROUTES = METHODS | {"api_route", "websocket", "route", "websocket_route"}
_ADDED_THROUGH = re.compile(rf"@[\w.]+\(\s*[\w.]+\.(?:{'|'.join(sorted(METHODS))}),")
_ORM_BASES = frozenset({
    "sqlalchemy.orm.DeclarativeBase", "sqlalchemy.orm.DeclarativeBaseNoMeta", "sqlalchemy.orm.declarative_base()",
    "sqlalchemy.ext.automap.automap_base()", "ormar.Model", "tortoise.models.Model", "peewee.Model",
    "django.db.models.Model",
})  # fmt: skip


class Service(Dependencies):
    """One project seen as FastAPI sees it.

    Attributes:
        project: its files.
        resolver: what names and expressions stand for.
        notes: what was found out about single functions.
        graph: who calls whom.
    """

    def __init__(self, project: Project) -> None:
        super().__init__(Resolver(project))
        self.project = project
        self.notes = Notes(project.reading)
        self.graph = CallGraph(self.resolver, self.notes)

    @cached_property
    def requirements(self) -> Requirements:
        """The versions that the project asks for."""
        return Requirements(self.project)

    # -- apps and routers

    @property
    def reading(self) -> Reading:
        """What was looked into."""
        return self.project.reading

    @property
    def routers(self) -> list[Router]:
        """Every app and router that the sources make, with what is included in what."""
        self._collect()
        return list(self._routers.values())

    @property
    def apps(self) -> list[Router]:
        return [router for router in self.routers if router.is_app]

    @property
    def routes(self) -> list[Route]:
        """Every path operation, in the order of files and lines."""
        self._collect()
        return self._routes

    @property
    def middleware(self) -> list[Middleware]:
        """Every middleware that an app is given."""
        self._collect()
        return self._middleware

    def _collect(self) -> None:
        self.reading.mask |= EVERYTHING
        if self._collected:
            return
        self._collected = True
        for module in self.project.modules.values():
            if not module.is_test and module.mentions("fastapi", "router", "app", "Router") and self.project.reads(module):
                self._collect_from(module)

    def _collect_from(self, module: Module) -> None:
        for name in ("FastAPI", "APIRouter"):
            for site in module.calls_by_name.get(name, ()):
                self._router_made_by(site.node, site.scope)
        for function in module.functions:
            for decorator in function.decorators if function.decorated(*_ROUTES, "middleware") else ():
                if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
                    self._decorated(function, decorator, decorator.func, function.parent)
        for function in module.functions if _ADDED_THROUGH.search(module.text) else ():
            for decorator in function.decorators:
                if isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Attribute):
                    self._decorated_through(function, decorator, decorator.args[0])
        for name in ("include_router", "mount", "add_middleware", "Middleware", *_ADDS):
            for site in module.calls_by_name.get(name, ()):
                self._called(name, site)
        made = [site for name in (*METHODS, "middleware") for site in module.calls_by_name.get(f"{name}()", ())]
        for site in sorted(made, key=lambda site: (site.node.lineno, site.node.col_offset)):
            self._decorated_by_call(site)

    _collected = False

    @cached_property
    def _routers(self) -> dict[int, Router]:
        return {}

    @cached_property
    def _routes(self) -> list[Route]:
        return []

    @cached_property
    def _middleware(self) -> list[Middleware]:
        return []

    def router_of(self, node: ast.expr, scope: Scope) -> Router | None:
        """The app or router that an expression stands for."""
        return next(iter(self._routers_of(node, scope)), None)

    def _routers_of(self, node: ast.expr, scope: Scope) -> list[Router]:
        """All of them, where a loop's variable stands for several."""
        found = []
        for value in self.resolver.infer(node, scope):
            made = value.call if isinstance(value, External | Instance) else None
            is_router = (
                value.path in (f"{_APP}()", f"{_ROUTER}()", f"{_APP}().router")
                if isinstance(value, External)
                else isinstance(value, Instance) and self.resolver.derives(value.definition, _APP, _ROUTER)
            )
            router = self._router_made_by(*made) if made is not None and is_router else None
            if router is not None:
                found.append(router)
        return found

    def is_router(self, node: ast.expr, scope: Scope) -> bool:
        """The expression is an app or router, even one that cannot be traced to its making."""
        values = self.resolver.infer(node, scope)
        if any(isinstance(v, External) and v.path in (f"{_APP}()", f"{_ROUTER}()", f"{_APP}().router") for v in values):
            return True
        return any(isinstance(v, Instance) and self.resolver.derives(v.definition, _APP, _ROUTER) for v in values)

    def _router_made_by(self, call: ast.Call, scope: Scope) -> Router | None:
        self.reading.mask |= EVERYTHING
        known = self._routers.get(id(call))
        if known is not None:
            return known
        for value in self.resolver.infer(call.func, scope):
            is_app = isinstance(value, External) and value.path == _APP
            is_router = isinstance(value, External) and value.path == _ROUTER
            if isinstance(value, ClassValue):
                is_app = self.resolver.derives(value.definition, _APP)
                is_router = self.resolver.derives(value.definition, _ROUTER)
            if is_app or is_router:
                given = argument(call, "prefix")
                prefix = "" if given is None or is_app else literals.text(self.resolver, given, scope)
                if is_router and isinstance(value, External) and value.call is not None:  # `Version("v1").router()`
                    version = argument(value.call[0], "name", 0)
                    name = literals.text(self.resolver, version, value.call[1]) if version is not None else None
                    prefix = f"/{name}" if name is not None else None
                made = self._routers[id(call)] = Router(call, scope, is_app, prefix)
                made.dependencies = self.declared(argument(call, "dependencies"), scope)
                return made
        return None

    # -- path operations

    def _decorated(self, function: Function, decorator: ast.Call, called: ast.Attribute, scope: Scope) -> None:
        name = called.attr
        if name in _ROUTES:
            path = argument(decorator, "path", 0)
            if not self._takes_routes(called.value, scope, path):
                return
            self._add_route(function, decorator, called.value, name, path, scope)
        elif name == "middleware" and self.is_router(called.value, scope):
            self._middleware.append(Middleware(self.router_of(called.value, scope), None, function, decorator, scope))

    def _decorated_by_call(self, site: CallSite) -> None:
        """`app.get("/")(function)`, `app.middleware("http")(function)`."""
        decorator = site.node.func
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute) or len(site.node.args) != 1:
            return
        if decorator.func.attr == "middleware" or decorator.func.attr in METHODS:
            for value in self.resolver.infer(site.node.args[0], site.scope):
                if isinstance(value, FunctionValue):
                    self._decorated(value.definition, decorator, decorator.func, site.scope)

    def _decorated_through(self, function: Function, decorator: ast.Call, added: ast.Attribute) -> None:
        """`@guarded(router.get, "/")`: the project's own decorator adds the route."""
        if added.attr in METHODS and self.is_router(added.value, function.parent):
            path = next(iter(decorator.args[1:]), argument(decorator, "path"))
            self._add_route(function, decorator, added.value, added.attr, path, function.parent)

    def _takes_routes(self, receiver: ast.expr, scope: Scope, path: ast.expr | None) -> bool:
        if self.is_router(receiver, scope):
            return True
        if self.resolver.infer(receiver, scope):
            return False
        # A router handed in without annotation: `def register(app): @app.get("/x") ...`.
        return (
            isinstance(path, ast.Constant)
            and isinstance(path.value, str)
            and path.value.startswith("/")
            and self._fastapi(scope)
        )

    @staticmethod
    def _fastapi(scope: Scope) -> bool:
        module = scope if isinstance(scope, Module) else scope.module
        return any(name.partition(".")[0] == "fastapi" for name, *_ in module.imported)

    def _add_route(  # noqa: PLR0917
        self, handler: Function, call: ast.Call, receiver: ast.expr, name: str, path: ast.expr | None, scope: Scope
    ) -> None:
        router = self.router_of(receiver, scope)
        text = literals.text(self.resolver, path, scope) if path is not None else None
        route = Route(router, text, self._methods(name, call), handler, call, scope)
        self._routes.append(route)
        if router is not None:
            router.routes.append(route)

    @staticmethod
    def _methods(name: str, call: ast.Call) -> frozenset[str]:
        if name in METHODS:
            return frozenset({name.upper()})
        if "websocket" in name:
            return frozenset({"WEBSOCKET"})
        listed = argument(call, "methods")
        if isinstance(listed, ast.List | ast.Tuple | ast.Set):
            return frozenset(str(e.value).upper() for e in listed.elts if isinstance(e, ast.Constant))
        return frozenset({"GET"})

    def _called(self, name: str, site: CallSite) -> None:
        receiver = site.node.func.value if isinstance(site.node.func, ast.Attribute) else None
        if name in _ADDS and receiver is not None and self.is_router(receiver, site.scope):
            endpoint = site.argument("endpoint", 1)
            for value in self.resolver.infer(endpoint, site.scope):
                if isinstance(value, FunctionValue):
                    kind = "websocket" if "websocket" in name else "api_route"
                    self._add_route(value.definition, site.node, receiver, kind, site.argument("path", 0), site.scope)
        elif name == "include_router" and receiver is not None:
            self._included(site, receiver, site.argument("router", 0), site.argument("prefix"))
        elif name == "mount" and receiver is not None and self.is_router(receiver, site.scope):
            if (router := self.router_of(receiver, site.scope)) is not None:
                path = site.argument("path", 0)
                text = literals.text(self.resolver, path, site.scope) if path is not None else None
                router.mounts.append(Mount(text, site.node, site.scope))
            self._included(site, receiver, site.argument("app", 1), site.argument("path", 0))
        elif name == "add_middleware" and receiver is not None and self.is_router(receiver, site.scope):
            self._add_middleware(site, self.router_of(receiver, site.scope))
        elif name == "Middleware" and self.resolver.calls(site, "starlette.middleware.Middleware"):
            self._add_middleware(site, None)

    def _included(self, site: CallSite, receiver: ast.expr, child: ast.expr | None, prefix: ast.expr | None) -> None:
        if child is None:
            return
        known: set[tuple[int, int, str | None]] = set()
        for (into, at), (given, where), (below, holder) in self._as_called(site.scope, receiver, child, prefix):
            parent = self.router_of(into, at) if into is not None else None
            text = "" if below is None else literals.text(self.resolver, below, holder)
            for included in self._routers_of(given, where) if given is not None else ():
                if included is not parent and (id(parent), id(included), text) not in known:
                    known.add((id(parent), id(included), text))
                    include = Include(parent, included, text, site.node, site.scope)
                    included.included_in.append(include)
                    if parent is not None:
                        parent.includes.append(include)

    def _as_called(self, scope: Scope, *nodes: ast.expr | None) -> list[list[tuple[ast.expr | None, Scope]]]:
        """Expressions as every call of their function makes them: of `def add(app, router)`, what the callers give.

        Returns:
            one list per call, of each expression with the scope that it stands in.
        """
        as_they_stand = [[(node, scope) for node in nodes]]
        if not isinstance(scope, Function):
            return as_they_stand
        defaults = {parameter.arg: default for parameter, default in scope.parameters}
        handed = {node.id for node in nodes if isinstance(node, ast.Name) and node.id in defaults}
        if not handed:
            return as_they_stand
        names = scope.filled

        def passed(node: ast.expr | None, call: CallSite) -> tuple[ast.expr | None, Scope]:
            if not isinstance(node, ast.Name) or node.id not in handed:
                return node, scope
            given = call.argument(node.id, names.index(node.id)) if node.id in names else None
            return (given, call.scope) if given is not None else (defaults[node.id], scope.parent)

        return [[passed(node, call) for node in nodes] for call in self._calls_of(scope)] or as_they_stand

    def _calls_of(self, function: Function) -> list[CallSite]:
        return [
            site
            for module in self.project.modules.values()
            if not module.is_test and module.mentions(function.name) and self.project.reads(module)
            for site in module.calls_by_name.get(function.name, ())
            if site.scope is not function
            and any(isinstance(v, FunctionValue) and v.definition is function for v in self.resolver.targets(site))
        ]

    def _add_middleware(self, site: CallSite, app: Router | None) -> None:
        for value in self.resolver.infer(site.argument("middleware_class", 0) or site.argument("cls"), site.scope):
            if isinstance(value, ClassValue):
                self._middleware.append(Middleware(app, value.definition, None, site.node, site.scope, site))
            elif isinstance(value, External):
                self._middleware.append(Middleware(app, value, None, site.node, site.scope, site))
            elif isinstance(value, FunctionValue):  # a function that makes it: `add_middleware(make_limiter)`
                for made in self.resolver.returns(value.definition):
                    if isinstance(made, Instance):
                        self._middleware.append(Middleware(app, made.definition, None, site.node, site.scope, site))
                    elif isinstance(made, External):
                        cls = External(made.path.removesuffix("()"))
                        self._middleware.append(Middleware(app, cls, None, site.node, site.scope, site))

    def run_by(self, middleware: Middleware) -> list[Function]:
        """What a middleware runs for each request: its own methods, and who tells it whose request it is."""
        if middleware.function is not None:
            return [middleware.function]
        given = argument(middleware.call, "backend")
        backends = self.resolver.infer(given, middleware.scope) if given is not None else ()
        asked = [(value.definition, "authenticate") for value in backends if isinstance(value, Instance)]
        if isinstance(middleware.cls, Class):
            asked += [(middleware.cls, "dispatch"), (middleware.cls, "__call__")]
        methods = (self.resolver.method(defined, name) for defined, name in asked)
        return [method for method in methods if method is not None]

    def prefixes(self, route: Route) -> list[str]:
        """Every path under which a route is served; `{?}` stands for a prefix that cannot be told. Empty: never included."""
        own = route.path if route.path is not None else "{?}"
        if route.router is None:
            return [own]
        return [prefix + own for prefix in self.mounted_at(route.router)]

    def mounted_at(self, router: Router, seen: frozenset[int] = frozenset()) -> list[str]:
        """The prefixes under which everything in a router is served, its own included."""
        own = router.prefix if router.prefix is not None else "{?}"
        if id(router) in seen:
            return []
        if not router.included_in:
            return [own]  # an app, or a router that is handed to somebody in a way that cannot be followed
        found = []
        for include in router.included_in:
            given = include.prefix if include.prefix is not None else "{?}"
            above = self.mounted_at(include.parent, seen | {id(router)}) if include.parent is not None else [""]
            found += [outer + given + own for outer in above]
        return found

    # -- classes

    def is_model(self, defined: Class) -> bool:
        """A Pydantic model, settings and SQLModel's non-table classes included."""
        return self.resolver.derives(defined, "pydantic.BaseModel", "sqlmodel.SQLModel", "pydantic_settings.BaseSettings")

    def is_settings(self, defined: Class) -> bool:
        return self.resolver.derives(defined, "pydantic_settings.BaseSettings")

    def is_entity(self, defined: Class) -> bool:
        """An ORM class: mapped to a table, by its bases and never by its name."""
        for base in self.resolver.mro(defined):
            if isinstance(base, External) and base.path in _ORM_BASES:
                return True
            if isinstance(base, Class) and _table(base) and self.resolver.derives(base, "sqlmodel.SQLModel"):
                return True
            if isinstance(base, Class) and any(
                self.resolver.paths(d.func if isinstance(d, ast.Call) else d, base.parent) & _AS_BASE
                for d in base.node.decorator_list
            ):
                return True
        return False


_AS_BASE = {"sqlalchemy.orm.as_declarative", "sqlalchemy.ext.declarative.as_declarative"}


def _table(defined: Class) -> bool:
    return any(k.arg == "table" and isinstance(k.value, ast.Constant) and k.value.value is True for k in defined.node.keywords)
