"""What callers give to a parameter that says nothing of itself. Who they are, the resolver says."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fastness.tool.project.symbols import CallSite, Function, last_name
from fastness.tool.project.values import ClassValue, External, FunctionValue, Values, union

if TYPE_CHECKING:
    from fastness.tool.project.resolve import Resolver

HANDED_ON = frozenset({"db", "session", "db_session", "conn", "connection"})  # parameters that callers are asked about
_CALLERS = 100  # files that call something of a name; where more do, as for `get`, most mean something else


def given(resolver: Resolver, parameter: ast.arg, function: Function) -> Values:
    """What the callers of a function in the service give to a parameter that says nothing of itself."""
    named = [one.arg for one, _ in function.parameters]
    if parameter.arg not in named:  # `*session`
        return ()
    owner = function.owner if function.name == "__init__" else None
    names = (function.name,) if owner is None else (function.name, owner.name)
    position = named.index(parameter.arg) - (function.owner is not None and not function.decorated("staticmethod"))
    callers = [module for module in resolver.project.service if not module.calls_by_name.names.isdisjoint(names)]
    if len(callers) > _CALLERS:
        return ()
    return union(
        tuple(value for value in resolver.infer(passed, site.scope) if isinstance(value, External))
        for module in callers
        for name in names
        for site in module.calls_by_name.get(name, ())
        if (passed := site.argument(parameter.arg, position)) is not None and _calls(resolver, site, function)
    )


def _calls(resolver: Resolver, site: CallSite, function: Function) -> bool:
    called = site.node.func
    if isinstance(called, ast.Attribute) and last_name(called.value) in HANDED_ON:  # `session.get(...)` asks the same
        return False
    return any(
        value.definition is (function if isinstance(value, FunctionValue) else function.owner)
        for value in resolver.targets(site)
        if isinstance(value, FunctionValue | ClassValue)
    )
