"""What an app or a request carries: what the service puts into `app.state` and `request.state`, and lifespans yield."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.values import Values, union
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function, Scope
from fastness.tool.project.source.walk import own

if TYPE_CHECKING:
    from fastness.tool.project.files.project import Project
    from fastness.tool.project.names.resolve import Resolver

_PUT = re.compile(r"\.state\.\w+\s*(?::[^=\n]{1,200})?=(?!=)")
_LIFESPAN = "asynccontextmanager"


def is_state(path: str) -> bool:
    """The path of an external value is the state of an app, a request or a connection."""
    return path.endswith(".state") and path.startswith(("fastapi.", "starlette."))


def is_carried(path: str) -> bool:
    """The path leads through such a state: what is there, nothing in the service tells."""
    head, carried, _ = path.partition(".state.")
    return bool(carried) and is_state(f"{head}.state")


def held(resolver: Resolver, name: str) -> Values:
    """What the attribute of that name is, wherever the service sets it: an app is told by nobody's type."""
    return union(resolver.infer(value, scope) for value, scope in _put(resolver.project).get(name, ()))


@known_once
def _put(project: Project) -> dict[str, list[tuple[ast.expr, Scope]]]:
    found: dict[str, list[tuple[ast.expr, Scope]]] = {}
    for module in project.service:
        if _PUT.search(module.text):
            for name, value, scope in _assigned(module):
                found.setdefault(name, []).append((value, scope))
        if _LIFESPAN in module.text:
            for name, value, scope in _yielded(module):
                found.setdefault(name, []).append((value, scope))
    return found


def _assigned(module: Module) -> Iterator[tuple[str, ast.expr, Scope]]:
    scopes: list[Module | Function] = [module, *module.functions]
    for scope in scopes:
        for node in own(module.tree.body) if isinstance(scope, Module) else scope.nodes:
            if isinstance(node, ast.Assign):
                yield from ((name, node.value, scope) for target in node.targets for name in _carried(target))
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                value = node.value
                yield from ((name, value, scope) for name in _carried(node.target))


def _carried(target: ast.expr) -> Iterator[str]:
    """The attribute of a state that is set."""
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Attribute) and target.value.attr == "state":
        yield target.attr


def _yielded(module: Module) -> Iterator[tuple[str, ast.expr, Scope]]:
    """`yield {"client": client}` of a lifespan: Starlette puts it into the state of each request."""
    for function in module.functions:
        if not function.decorated(_LIFESPAN):
            continue
        for node in function.nodes:
            given = node.value if isinstance(node, ast.Yield) else None
            if isinstance(given, ast.Dict):
                for key, value in zip(given.keys, given.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, value, function
            elif isinstance(given, ast.Call):  # of a `TypedDict`
                yield from ((keyword.arg, keyword.value, function) for keyword in given.keywords if keyword.arg)
