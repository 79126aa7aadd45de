"""Loops and comprehensions: what they go over, what they repeat, and whether that is as often as there is data."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TypeAlias

from fastness.tool.check.knowledge.lifetimes import sessions
from fastness.tool.project import Service
from fastness.tool.project.names.values import ClassValue
from fastness.tool.project.source.symbols import Function, Kind, last_name
from fastness.tool.project.source.walk import own, walk

_PORTION = re.compile(r"batch|chunk|page$")
_COUNTS = re.compile(r"\blen\(| % ")
_FIXED = frozenset({
    "range", "batched", "chunked", "chunks", "batch", "islice", "count", "cycle", "product", "as_completed", "zip_longest",
})  # fmt: skip
_SAME_LENGTH = frozenset({"enumerate", "sorted", "list", "reversed", "tuple", "zip", "set"})

Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Loop: TypeAlias = ast.For | ast.AsyncFor | Comprehension
LOOPS = (ast.For, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def generators(loop: Loop) -> Sequence[ast.For | ast.AsyncFor | ast.comprehension]:
    """What a loop goes over, outermost first."""
    return [loop] if isinstance(loop, ast.For | ast.AsyncFor) else loop.generators


def body(loop: Loop) -> Sequence[ast.AST]:
    """What a loop repeats."""
    if isinstance(loop, ast.For | ast.AsyncFor):
        return loop.body
    elements = [loop.key, loop.value] if isinstance(loop, ast.DictComp) else [loop.elt]
    first, *further = loop.generators
    return [*elements, *first.ifs, *(node for one in further for node in (one.iter, *one.ifs))]


def targets(loop: Loop) -> set[str]:
    """The names of what a loop is at."""
    return {node.id for one in generators(loop) for node in walk(one.target) if isinstance(node, ast.Name)}


def is_fixed(service: Service, loop: Loop, function: Function) -> bool:
    """The loop goes over something of fixed size: literals, constants, enums, tables, attempts."""
    first = generators(loop)[0]
    if is_of_portions(loop) or sessions.is_session(service.resolver.infer(first.target, function)):
        return True  # it asks once for many, or is `for session in get_session()`
    over: ast.expr = first.iter
    while isinstance(over, ast.Call) and over.args and (last_name(over) in _SAME_LENGTH or _is_of_each(over)):
        over = over.args[0]
    if isinstance(over, ast.Call):
        name = last_name(over)
        if name in {"items", "values", "keys"} and isinstance(over.func, ast.Attribute):
            over = over.func.value
        else:
            return name in _FIXED
    if isinstance(over, ast.List | ast.Tuple | ast.Set | ast.Dict | ast.Constant):
        return True
    if any(isinstance(value, ClassValue) for value in service.resolver.infer(over, function)):
        return True
    if isinstance(over, ast.Name):
        bindings = service.resolver.binding(over.id, function)
        if bindings is not None:
            literal = (ast.List, ast.Tuple, ast.Dict, ast.Set)
            return all(b.kind is Kind.ASSIGN and isinstance(b.value, literal) and _entries(b.value) for b in bindings[0]) or (
                bindings[1] is function.module
            )
    return isinstance(over, ast.Attribute) and over.attr.isupper()


def is_of_portions(loop: Loop) -> bool:
    """Each turn is for many: `for chunk in chunks`, or `for start in range(0, len(items), 100)`."""
    if any(_PORTION.search(name) for name in targets(loop)):
        return True
    over = generators(loop)[0].iter
    return isinstance(over, ast.Call) and last_name(over) == "range" and len(over.args) == len(("start", "end", "step"))


def _is_of_each(call: ast.Call) -> bool:
    """`range(len(items))`, the places of all items, and the `len` of it."""
    if last_name(call) == "range" and len(call.args) == 1:
        return isinstance(call.args[0], ast.Call) and last_name(call.args[0]) == "len"
    return last_name(call) == "len"


def is_portion(loop: ast.For, call: ast.Call) -> bool:
    """It runs when there is enough for it, `if len(rows) >= 1000: ...`, or every so many turns."""
    tests = (node.test for node in own(loop.body) if isinstance(node, ast.If) and any(n is call for n in walk(node)))
    return any(_COUNTS.search(ast.unparse(test)) for test in tests)


def ends(loop: ast.For) -> bool:
    """There is no second turn, or only until something is as it should be."""
    return any(isinstance(node, ast.Break | ast.Return) for node in own(loop.body))


def _entries(node: ast.expr) -> bool:
    """The literal has content of its own: an empty one is filled later."""
    return bool(getattr(node, "elts", None) or getattr(node, "keys", None))
