"""What a file defines, imports and calls, without its tree: kept by its content, for those who want to know where to look.

A module with an outline has its functions and classes before it is parsed. Who asks one of them for more than the outline
tells reads the file: then they are completed, and stay the same objects.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fastness.tool.project.source.symbols import Class, Function, Scope

if TYPE_CHECKING:
    from fastness.tool.project.source.module import Module

Outline: TypeAlias = Mapping[str, Any]
TOP = -1  # the file itself, as the number of what a definition lies in


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
    numbers: dict[int, int] = {id(module): TOP}
    scopes: list[list[Any]] = []
    for defined in module.defined:
        numbers[id(defined)] = len(scopes)
        entry: list[Any] = [defined.name, numbers[id(defined.parent)]]
        if isinstance(defined, Function):
            entry += [defined.line, int(defined.is_async), int(defined.is_empty), defined.kinds, list(defined.decorated_by)]
        scopes.append(entry)
    return {
        "scopes": scopes,
        "imports": [[*one] for one in module.imported],
        "calls": sorted(module.calls_by_name.names),
        "makers": sorted(module.makers),
        "surface": surface(module),
        "bodies": {module.labels[one.number]: _digest(_whole_text(one)) for one in outermost(module)},
    }


def surface(module: Module, without: AbstractSet[str] = frozenset()) -> str:
    """A digest of all that the file says outside of the bodies of its functions, and of what these define outside of them.

    Args:
        without: functions and classes of the file that are left out, by name.
    """
    left_out = {id(one) for one in module.defined if _outermost(one).name in without}
    defined = [
        [
            (one.qualified, {name: len(given) for name, given in one.instance.items()})
            for one in module.classes
            if id(one) not in left_out
        ],
        [(one.qualified, one.is_generator, one.is_empty) for one in outermost(module) if id(one) not in left_out],
        [
            (name, [(binding.kind.name, ast.unparse(binding.node) if binding.scope else "") for binding in bindings])
            for name, bindings in module.bindings.items()
            if not (name in without and all(binding.definition is not None for binding in bindings))
        ],
        [
            (name, outside)
            for name, put in module.put.items()
            if (outside := sum(not is_local(name, where) for _, where in put))
        ],
    ]
    return _digest(json.dumps([outer_text(module, without), defined]))


def outer_text(module: Module, without: AbstractSet[str] = frozenset()) -> str:
    """What stands outside of the bodies of a file's functions, as far as lines tell."""
    lines = list(module.lines)
    for function in outermost(module):
        begin, end = _body(function)
        lines[begin:end] = [""] * (end - begin)
    for one in module.defined if without else ():
        if one.name in without and one.parent is module:
            begin = min(node.lineno for node in (one.node, *one.node.decorator_list)) - 1
            end = one.node.end_lineno or begin
            lines[begin:end] = [""] * (end - begin)
    return "\n".join(line for line in lines if line)


def body_text(function: Function) -> str:
    """The lines of a function's body; none where it begins on the line of the head."""
    begin, end = _body(function)
    return "\n".join(function.module.lines[begin:end])


def _whole_text(function: Function) -> str:
    """The lines from a function's `def` to its end, empty ones of the head too: notes count lines from there."""
    node = function.node
    return "\n".join(function.module.lines[node.lineno - 1 : node.end_lineno])


def _body(function: Function) -> tuple[int, int]:
    first, last = function.node.body[0], function.node.body[-1]
    alone = not function.module.lines[first.lineno - 1][: first.col_offset].strip()
    return first.lineno - 1, (last.end_lineno or first.lineno) if alone else first.lineno - 1


def outermost(module: Module) -> list[Function]:
    """The functions that do not stand in functions."""
    return [one for one in module.functions if not _is_nested(one)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _outermost(one: Function | Class) -> Function | Class:
    while isinstance(one.parent, Function | Class):
        one = one.parent
    return one


def is_local(name: str, scope: Scope) -> bool:
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
            one.line, is_async, is_empty, one.kinds, decorators = more
            one.is_async, one.is_empty, one.decorated_by = bool(is_async), bool(is_empty), tuple(decorators)
        else:
            one = Class.__new__(Class)
        one.name, one.module, one.parent, one.number = name, module, scope, len(defined)
        defined.append(one)
    return defined
