"""Which exception handlers a service registers, in whichever way it does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import ClassValue, External, FunctionValue
from fastness.tool.project.source.symbols import Function, Scope, argument, last_name

# What `fastness.problems.handlers` answers besides those it is given.
_OF_PROBLEMS = frozenset({"Problem", "HTTPException", "RequestValidationError", "Exception"})


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
        if given is not None:
            table = _table(service, given, app.scope)
            yield from table if table is not None else (Registered(frozenset(), ()),)


def _names(service: Service, node: ast.expr | None, scope: Scope) -> frozenset[str]:
    if isinstance(node, ast.Constant):
        return frozenset({str(node.value)})
    if node is None or not any(isinstance(value, ClassValue | External) for value in service.resolver.infer(node, scope)):
        return frozenset()
    return frozenset({last_name(node)})


def _table(service: Service, node: ast.expr, scope: Scope, inside: frozenset[int] = frozenset()) -> list[Registered] | None:
    """What a table of handlers registers, wherever it is built; None when that cannot be told.

    Args:
        inside: the tables that are being read, by id; one that is made of itself cannot be told.
    """
    table, holder = literals.origin(service.resolver, node, scope)
    if id(table) in inside or not isinstance(table, ast.Dict | ast.Call):
        return None
    inside |= {id(table)}
    found: list[Registered] = []
    if isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if key is not None:
                found.append(Registered(_names(service, key, holder), _functions(service, value, holder)))
                continue
            inner = _table(service, value, holder, inside)
            if inner is None:
                return None
            found += inner
        return found
    if table.args and ast.unparse(table.func) == "dict.fromkeys":
        return _keys(service, *literals.origin(service.resolver, table.args[0], holder))
    if not table.args or "fastness.problems.handlers" not in service.resolver.paths(table.func, holder):
        return None
    mapped = _table(service, table.args[0], holder, inside)
    return None if mapped is None else [*mapped, Registered(_OF_PROBLEMS, ())]


def _keys(service: Service, keys: ast.expr, scope: Scope) -> list[Registered] | None:
    if isinstance(keys, ast.Tuple | ast.List | ast.Set):
        return [Registered(_names(service, key, scope), ()) for key in keys.elts]
    # A library's tuple: none of them is the project's.
    return [] if any(isinstance(value, External) for value in service.resolver.infer(keys, scope)) else None


def _functions(service: Service, node: ast.expr | None, scope: Scope) -> tuple[Function, ...]:
    return tuple(value.definition for value in service.resolver.infer(node, scope) if isinstance(value, FunctionValue))
