"""In which order an app tries its routes, as far as the sources tell. A booted app knows better."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import paths
from fastness.tool.project.routes import Include, Mount, Route, Router
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Scope


def matches(at: str, earlier: Route, path: str, later: Route) -> bool:
    """The earlier route, served at that path, answers what is sent to the later one."""
    if not later.methods <= earlier.methods or ("{" not in at and at != path):
        return False
    return bool(paths.pattern(at).fullmatch(paths.witness(path)))


def tried(router: Router, prefix: str = "", above: frozenset[int] = frozenset()) -> Iterator[tuple[str, Route]]:
    """The routes in a router and in what it includes, each with its path there.

    Left out is what may be absent or elsewhere: what a condition or a loop includes, and what has a path that cannot be told.
    """
    if id(router) in above or router.prefix is None:
        return
    for step in _steps(router):
        if isinstance(step, Include):
            yield from tried(step.child, prefix + router.prefix + (step.prefix or ""), above | {id(router)})
        elif isinstance(step, Route) and step.path is not None:
            yield prefix + router.prefix + step.path, step


def mounted_over(app: Router) -> Iterator[tuple[Mount, str, Route]]:
    """The routes of an app that it adds after something that is mounted above them, each with its path."""
    before: list[Mount] = []
    for step in _steps(app):
        if isinstance(step, Mount):
            before.append(step)
            continue
        routes = tried(step.child, step.prefix or "") if isinstance(step, Include) else [(step.path or "", step)]
        for path, route in routes if before else ():
            mount = next((one for one in before if one.call is not step.call and _is_below(path, one.path)), None)
            if mount is not None:
                yield mount, path, route


def _is_below(path: str, mount: str | None) -> bool:
    return mount is not None and "{" not in mount and path.startswith(mount.rstrip("/") + "/")


def _steps(router: Router) -> list[Route | Include | Mount]:
    """What a router is given, in this order."""
    steps: list[Route | Include | Mount] = [route for route in router.routes if route.scope is router.scope]
    includes = [one for one in router.includes if one.prefix is not None and _always(one)]
    if len({id(one.scope) for one in includes}) > 1:
        includes = []  # nobody knows which comes first
    steps += [one for one in router.mounts if one.scope is router.scope and _always(one)]
    # What a function includes, it includes after the module has declared its routes.
    return sorted([*steps, *includes], key=lambda step: (step.scope is not router.scope, step.call.lineno))


def again(app: Router) -> Iterator[tuple[str, Include, Include]]:
    """Where a router serves the same paths a second time: the include of it that is the app's own, or the last, and another."""
    first: set[tuple[str, int]] = set()
    twice: dict[int, tuple[str, Router]] = {}
    for path, route in tried(app):
        key = (path, id(route.call))
        if key in first and route.router is not None:
            twice.setdefault(id(route.router), (path, route.router))
        first.add(key)
    for path, router in twice.values():
        includes = [include for include in router.included_in if include.parent is not None]
        nearest = next((include for include in includes if include.parent is app), includes[-1])
        other = next((include for include in includes if include.parent is not nearest.parent), None)
        if other is not None:
            yield path, nearest, other


def _always(one: Include | Mount) -> bool:
    """The call is a statement of its scope, and no part of another."""
    return any(isinstance(statement, ast.Expr) and statement.value is one.call for statement in _body(one.scope))


def _body(scope: Scope) -> list[ast.stmt]:
    return scope.tree.body if isinstance(scope, Module) else [] if isinstance(scope, Class) else scope.node.body
