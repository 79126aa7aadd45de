"""Which exception handlers a service registers, in whichever way it does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fastness.tool.project import Service
from fastness.tool.project.symbols import Function, Scope, argument, last_name
from fastness.tool.project.values import ClassValue, External, FunctionValue


@dataclass(frozen=True, slots=True)
class Registered:
    """One handler.

    Attributes:
        names: what it handles: the last name of an exception, or a status; empty when that cannot be told.
        functions: the project's functions that handle it, as far as they are known.
    """

    names: frozenset[str]
    functions: tuple[Function, ...]


def handlers(service: Service) -> Iterator[Registered]:
    """Every handler that a decorator, a call or an app's option registers."""
    for module in service.project.service:
        if module.mentions("exception_handler"):
            for function in module.functions:
                for decorator in function.decorators:
                    if isinstance(decorator, ast.Call) and last_name(decorator) == "exception_handler":
                        which = argument(decorator, "exc_class_or_status_code", 0)
                        yield Registered(_names(service, which, function.parent), (function,))
            for site in module.calls_by_name.get("add_exception_handler", ()):
                which = site.argument("exc_class_or_status_code", 0)
                yield Registered(
                    _names(service, which, site.scope), _functions(service, site.argument("handler", 1), site.scope)
                )
    for app in service.apps:
        given = argument(app.call, "exception_handlers")
        if isinstance(given, ast.Dict):
            for key, value in zip(given.keys, given.values, strict=True):
                yield Registered(_names(service, key, app.scope), _functions(service, value, app.scope))
        elif given is not None:
            yield Registered(frozenset(), ())


def _names(service: Service, node: ast.expr | None, scope: Scope) -> frozenset[str]:
    if isinstance(node, ast.Constant):
        return frozenset({str(node.value)})
    if node is None or not any(isinstance(value, ClassValue | External) for value in service.resolver.infer(node, scope)):
        return frozenset()
    return frozenset({last_name(node)})


def _functions(service: Service, node: ast.expr | None, scope: Scope) -> tuple[Function, ...]:
    return tuple(value.definition for value in service.resolver.infer(node, scope) if isinstance(value, FunctionValue))
