"""In which order an app tries its routes, as far as the sources tell. A booted app knows better."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project.module import Module
from fastness.tool.project.routes import Include, Route, Router
from fastness.tool.project.symbols import Class, Scope


def tried(router: Router, prefix: str = "", above: frozenset[int] = frozenset()) -> Iterator[tuple[str, Route]]:
    """The routes in a router and in what it includes, each with its path there.

    Left out is what may be absent or elsewhere: what a condition or a loop includes, and what has a path that cannot be told.
    """
    if id(router) in above or router.prefix is None:
        return
    prefix += router.prefix
    steps: list[tuple[tuple[bool, int], Route | Include]] = [
        ((False, route.call.lineno), route) for route in router.routes if route.scope is router.scope
    ]
    includes = [one for one in router.includes if one.prefix is not None and _always(one)]
    if len({id(one.scope) for one in includes}) > 1:
        includes = []  # nobody knows which comes first
    # What a function includes, it includes after the module has declared its routes.
    steps += [((one.scope is not router.scope, one.call.lineno), one) for one in includes]
    for _, step in sorted(steps, key=lambda pair: pair[0]):
        if isinstance(step, Include):
            yield from tried(step.child, prefix + (step.prefix or ""), above | {id(router)})
        elif step.path is not None:
            yield prefix + step.path, step


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


def _always(include: Include) -> bool:
    """The call is a statement of its scope, and no part of another."""
    body = _body(include.scope)
    return any(isinstance(statement, ast.Expr) and statement.value is include.call for statement in body)


def _body(scope: Scope) -> list[ast.stmt]:
    return scope.tree.body if isinstance(scope, Module) else [] if isinstance(scope, Class) else scope.node.body
