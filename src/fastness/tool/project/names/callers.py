"""What callers give to a parameter that says nothing of itself. Who they are, the resolver says."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastness.tool.project.kept.reading import CALLED
from fastness.tool.project.names.values import ClassValue, Elements, External, FunctionValue, Values, is_object, union
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, last_name

if TYPE_CHECKING:
    from fastness.tool.project.names.resolve import Resolver

HANDED_ON = frozenset({"db", "session", "db_session", "conn", "connection"})  # parameters that all callers are asked about
_CALLERS = 100  # files that call something of a name; where more do, as for `get`, most mean something else


def given(resolver: Resolver, parameter: ast.arg, function: Function) -> Values:
    """What the callers of a function give to a parameter that says nothing of itself.

    For a session and for a constructor's they are looked for in the whole service, else in the same file; and where that is
    not always the same object nothing is told, as a chain of calls would go from one caller to what another gives.
    """
    resolver.project.reading.mask |= CALLED
    if parameter.arg not in HANDED_ON:
        made = parameter.annotation is not None and function.name == "__init__"
        each = _given(resolver, parameter, function, _callers(resolver, function) if made else [function.module])
        found = union(each)
        return found if () not in each and len(found) == 1 and (is_object(found[0]) or isinstance(found[0], Elements)) else ()
    given = _given(resolver, parameter, function, _callers(resolver, function))
    return tuple(value for value in union(given) if isinstance(value, External))


def _callers(resolver: Resolver, function: Function) -> list[Module]:
    """The files that call something of the name; none when too many do."""
    callers = resolver.project.calling(*_names(function))
    return callers if len(callers) <= _CALLERS else []


def _names(function: Function) -> tuple[str, ...]:
    """What a call of the function is a call of: the class, too, of what makes its objects."""
    return (function.name, function.owner.name) if function.name == "__init__" and function.owner else (function.name,)


def _given(resolver: Resolver, parameter: ast.arg, function: Function, callers: Sequence[Module]) -> list[Values]:
    """What each call gives."""
    if parameter.arg not in function.filled:  # `*session`
        return []
    position, found = function.filled.index(parameter.arg), []
    for module in callers:
        resolver.project.reading.body(module)  # where it may be called once more, or be given what it is not
    for site in (site for module in callers for name in _names(function) for site in module.calls_by_name.get(name, ())):
        passed = site.argument(parameter.arg, position)
        if passed is not None and _calls(resolver, site, function):
            found.append(resolver.infer(passed, site.scope))
    return found


def _calls(resolver: Resolver, site: CallSite, function: Function) -> bool:
    called = site.node.func
    if isinstance(called, ast.Attribute) and last_name(called.value) in HANDED_ON:  # `session.get(...)` asks the same
        return False
    return any(
        value.definition is (function if isinstance(value, FunctionValue) else function.owner)
        for value in resolver.targets(site)
        if isinstance(value, FunctionValue | ClassValue)
    )
