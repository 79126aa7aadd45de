"""Joins what a booted app serves with the sources that say so: facts find their lines, and static guesses their facts."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property

from fastness.tool.boot import BootedApp
from fastness.tool.boot.app import App, BootedMiddleware, BootedRoute, Callee, Place
from fastness.tool.check.rule import Found, found, module_of
from fastness.tool.findings import Evidence
from fastness.tool.project import Service
from fastness.tool.project.routes import Middleware, Router
from fastness.tool.project.source.symbols import Function, Scope


class Served:
    """A service whose app is booted.

    Attributes:
        app: what it serves.
        service: its sources.
    """

    def __init__(self, service: Service, app: BootedApp) -> None:
        self.service = service
        self.app = app

    # -- from facts to sources

    def function(self, callee: Callee | None) -> Function | None:
        """The function of the project that is called; None when a library's is, or one that is made by another."""
        return self._functions.get(callee.place) if callee is not None and callee.place is not None else None

    def around(self, place: Place) -> Function | None:
        """The innermost function of the project that a line is in."""
        module = self.service.project.modules.get(place.path)
        if module is None or module not in self._readable:
            return None
        inside = [f for f in module.functions if f.node.lineno <= place.line <= (f.node.end_lineno or f.node.lineno)]
        return max(inside, key=lambda function: function.node.lineno, default=None)

    def router(self, app: App) -> Router | None:
        """The `FastAPI(...)` that made an app."""
        return next((r for r in self.service.apps if _is_at(app.place, r.scope, r.call)), None)

    def made_at(self, app: App) -> Place:
        """Where an app is made; where it was asked for, when a library made it."""
        router = self.router(app)
        if router is not None:
            return Place(module_of(router.scope).path, router.call.lineno)
        module = self.app.target.partition(":")[0]
        asked = next((path for path, one in self.service.project.modules.items() if one.name == module), "")
        return app.place or Place(asked, 1)

    def at_app(self, message: str, *evidence: Evidence, app: App | None = None) -> Found:
        """A fault of a whole app, by default the one that serves most operations."""
        router = self.router(app or self.app.main)
        if router is not None:
            return found(router.scope, router.call, message, *evidence)
        place = self.made_at(app or self.app.main)
        return Found(place.path, place.line, 1, message, evidence)

    # -- from sources to facts

    def routes(self, function: Function) -> list[BootedRoute]:
        """The routes at which the booted app serves a function; none when another app does, or nobody."""
        return self._routes.get(function, [])

    def has(self, router: Router | None) -> bool:
        """An app of the sources is one of the booted ones."""
        return router is not None and any(_is_at(app.place, router.scope, router.call) for app in self.app.apps)

    def entry(self, middleware: Middleware) -> BootedMiddleware | None:
        """The booted app's entry that a middleware of the sources is."""
        for app in self.app.apps:
            for entry in app.middleware:
                if _is_at(entry.place, middleware.scope, middleware.call):
                    return entry
        return None

    @cached_property
    def _functions(self) -> dict[Place, Function]:
        functions: dict[Place, Function] = {}
        for path in {place.path for place in self._places()}:
            module = self.service.project.modules.get(path)
            if module is not None and module in self._readable:
                for function in module.functions:
                    lines = [function.node.lineno, *(decorator.lineno for decorator in function.decorators)]
                    functions[Place(path, min(lines))] = function
        return functions

    def _places(self) -> Iterable[Place]:
        for route in self.app.routes:
            if route.endpoint is not None and route.endpoint.place is not None:
                yield route.endpoint.place
            for dependency in route.tree():
                if dependency.callee is not None and dependency.callee.place is not None:
                    yield dependency.callee.place
        for app in self.app.apps:
            for handler in app.handlers:
                if handler.callee.place is not None:
                    yield handler.callee.place

    @cached_property
    def _readable(self) -> set[object]:
        return set(self.service.project.readable)

    @cached_property
    def _routes(self) -> dict[Function, list[BootedRoute]]:
        routes: dict[Function, list[BootedRoute]] = {}
        for route in self.app.routes:
            function = self.function(route.endpoint)
            if function is not None:
                routes.setdefault(function, []).append(route)
        return routes


def _is_at(place: Place | None, scope: Scope, node: ast.expr) -> bool:
    if place is None or place.path != module_of(scope).path:
        return False
    return node.lineno <= place.line <= (node.end_lineno or node.lineno)
