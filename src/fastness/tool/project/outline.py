"""What a file defines, imports and calls, without its tree: kept by its content, for those who want to know where to look.

A module with an outline has its functions and classes before it is parsed. Who asks one of them for more than the outline
tells reads the file: then they are completed, and stay the same objects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fastness.tool.project.symbols import Class, Function, Scope

if TYPE_CHECKING:
    from fastness.tool.project.module import Module

Outline: TypeAlias = Mapping[str, Any]


class Imported(NamedTuple):
    """One name that a file imports.

    Attributes:
        member: what is taken from the module; None for the module itself.
        type_checking: for type checkers only.
        late: inside a function: it runs when that does.
    """

    name: str
    member: str | None
    type_checking: bool
    late: bool


def draw(module: Module) -> Outline:
    """The outline of a module that is read."""
    numbers: dict[int, int] = {id(module): -1}
    scopes: list[list[Any]] = []
    for defined in module.defined:
        numbers[id(defined)] = len(scopes)
        entry: list[Any] = [defined.name, numbers[id(defined.parent)]]
        if isinstance(defined, Function):
            entry += [defined.line, int(defined.is_async), int(defined.is_empty), list(defined.decorated_by)]
        scopes.append(entry)
    return {
        "scopes": scopes,
        "imports": [[*one] for one in module.imported],
        "calls": sorted(module.calls_by_name.names),
        "makers": sorted(module.makers),
        "surface": _surface(module),
    }


def _surface(module: Module) -> str:
    """A digest of all that the file says outside of the bodies of its functions, and of what these define outside of them."""
    lines = list(module.lines)
    outermost = [one for one in module.functions if not _is_nested(one)]
    for function in outermost:
        first, last = function.node.body[0], function.node.body[-1]
        if not lines[first.lineno - 1][: first.col_offset].strip():
            lines[first.lineno - 1 : last.end_lineno] = [""] * ((last.end_lineno or first.lineno) - first.lineno + 1)
    defined = [
        [(one.qualified, {name: len(given) for name, given in one.instance.items()}) for one in module.classes],
        [(one.qualified, one.is_generator, one.is_empty) for one in outermost],
        [(name, [binding.kind.name for binding in bindings]) for name, bindings in module.bindings.items()],
        [
            (name, outside)
            for name, put in module.put.items()
            if (outside := sum(not _is_local(name, where) for _, where in put))
        ],
    ]
    text = "\n".join(line for line in lines if line)
    return hashlib.sha256(json.dumps([text, defined]).encode()).hexdigest()[:32]


def _is_local(name: str, scope: Scope) -> bool:
    """A name of a function, as seen from inside of it."""
    while isinstance(scope, Function | Class):
        if isinstance(scope, Function) and name in scope.bindings:
            return True
        scope = scope.parent
    return False


def _is_nested(function: Function) -> bool:
    scope = function.parent
    while isinstance(scope, Class):
        scope = scope.parent
    return isinstance(scope, Function)


def apply(module: Module, outline: Outline) -> list[Function | Class]:
    """The functions and classes that an outline tells of, in the order of their definitions."""
    defined: list[Function | Class] = []
    for name, parent, *more in outline["scopes"]:
        scope: Scope = defined[parent] if parent >= 0 else module
        one: Function | Class
        if more:
            one = Function.__new__(Function)
            one.line, is_async, is_empty, decorators = more
            one.is_async, one.is_empty, one.decorated_by = bool(is_async), bool(is_empty), tuple(decorators)
        else:
            one = Class.__new__(Class)
        one.name, one.module, one.parent = name, module, scope
        defined.append(one)
    return defined
