"""What a client's body makes an endpoint do as often, or for as long, as the client likes: followed from the body to the work.

A list costs what is done for each element, a number what is repeated that often or waited for that long, a text what is asked
of a model that charges by the word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastness.tool.check.knowledge.facts.iteration import LOOPS
from fastness.tool.check.knowledge.inputs.handed import handed, leading_to
from fastness.tool.check.knowledge.running import blocking, work
from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.source.symbols import Function, constant, handed_on, last_name, passed
from fastness.tool.project.source.walk import own, walk

LOOPED, REPEATED, AWAITED, ASKED = "looped", "repeated", "awaited", "asked"
_DEEPEST = 4  # calls between the endpoint and the work
_SAME = {"list", "set", "tuple", "enumerate", "sorted", "reversed", "zip", "dict", "tqdm", "as_completed", "iter"}
_VIEWS = {"items", "values", "keys", "strip", "copy"}
_SENDS = {"delay", "apply_async", "send_task"}
_WAITS = (blocking.DATABASE, blocking.NETWORK, blocking.SUBPROCESS)


@dataclass(frozen=True, slots=True)
class Use:
    """Work whose amount a part of the body decides.

    Attributes:
        part: the fields that lead to it from the body, joined by dots; empty for the body itself.
    """

    part: str
    kind: str
    function: Function
    node: ast.AST


def uses(service: Service, handler: Function, parameter: str) -> list[Use]:
    """What a body decides the amount of, in the handler and in what it calls; nothing of a part that somebody measures."""
    found: list[Use] = []
    measured: set[str] = set()
    pending, seen = [(handler, {parameter: ""}, 0)], set()
    while pending:
        function, given, depth = pending.pop()
        key = (function, frozenset(given.items()))
        if key in seen:
            continue
        seen.add(key)
        service.reading.body(function)
        held = _spread(function, given)
        measured.update(_measured(function, held))
        found += _within(service, function, held)
        if depth < _DEEPEST:
            later, _ = handed(service, function)
            for edge in (*service.graph.edges(function), *later):
                pairs = passed(edge.site.node, edge.target)
                parts = {name: part for name, value in pairs if (part := _part(value, held)) is not None}
                if parts and edge.target.module.is_service:
                    pending.append((edge.target, parts, depth + 1))
    return [use for use in dict.fromkeys(found) if use.part not in measured]


def _part(node: ast.expr | None, held: Mapping[str, str]) -> str | None:  # noqa: PLR0911 - one dispatch
    """Which part of the body an expression is, all of it; None for anything else."""
    match node:
        case ast.Name():
            return held.get(node.id)
        case ast.Attribute():
            whole = _part(node.value, held)
            return None if whole is None else f"{whole}.{node.attr}".lstrip(".")
        case ast.BoolOp():
            return _part(node.values[0], held)
        case ast.IfExp():
            return _part(node.body, held) or _part(node.orelse, held)
        case ast.Await() | ast.NamedExpr() | ast.Starred():
            return _part(node.value, held)
        case ast.Call(func=ast.Attribute(value=viewed, attr=name)) if name in _VIEWS:
            return _part(viewed, held)
        case ast.ListComp(generators=[ast.comprehension(iter=each, ifs=[])]):
            return _part(each, held)
        case ast.Call() if last_name(node) in _SAME and node.args:
            return _part(node.args[0], held)
        case _:
            return None


def _spread(function: Function, given: Mapping[str, str]) -> dict[str, str]:
    """The names of a function that hold a part of the body."""
    held = dict(given)
    for _ in range(2):
        for name, bindings in function.bindings.items():
            values = [binding.value for binding in bindings if binding.value is not None and binding.kind.name == "ASSIGN"]
            part = _part(values[0], held) if len(values) == 1 and name not in held else None
            if part is not None:
                held[name] = part
    return held


def _measured(function: Function, held: Mapping[str, str]) -> Iterator[str]:
    """The parts that are compared, or whose length is, and those that `min` cuts."""
    for node in function.of(ast.Compare, ast.Call):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                subject = side.args[0] if isinstance(side, ast.Call) and last_name(side) == "len" and side.args else side
                part = _part(subject, held)
                if part and _bounds(node):
                    yield part
        elif isinstance(node, ast.Call) and last_name(node) in {"min", "clamp"}:
            yield from (part for one in node.args if (part := _part(one, held)))


def _bounds(test: ast.Compare) -> bool:
    """`n > 100` is a bound, `n < 1` and `len(names) > 0` are none."""
    given = [constant(side) for side in (test.left, *test.comparators) if isinstance(side, ast.Constant)]
    least = len(given) == len(test.comparators) and all(isinstance(value, int | float) and value <= 1 for value in given)
    return not least and any(isinstance(op, ast.Gt | ast.GtE | ast.Lt | ast.LtE) for op in test.ops)


def _within(service: Service, function: Function, held: Mapping[str, str]) -> Iterator[Use]:
    for node in function.of(*LOOPS, ast.Call):
        if isinstance(node, LOOPS):
            iterated = node.iter if isinstance(node, ast.For | ast.AsyncFor) else node.generators[0].iter
            part = _part(iterated, held)
            if part is not None and _waits(service, function, node):
                yield Use(part, LOOPED, function, node)
            elif isinstance(iterated, ast.Call) and last_name(iterated) == "range":
                counted = next((part for one in iterated.args if (part := _part(one, held))), None)
                if counted:
                    yield Use(counted, REPEATED, function, node)
        elif isinstance(node, ast.Call) and last_name(node) in {"limit", "sleep"}:
            kind = REPEATED if last_name(node) == "limit" else AWAITED
            yield from (Use(part, kind, function, node) for one in node.args if (part := _part(one, held)))
        elif isinstance(node, ast.Call):
            waits = (keyword.value for keyword in node.keywords if keyword.arg == "timeout")
            yield from (Use(part, AWAITED, function, node) for one in waits if (part := _part(one, held)))
    if any(work.asks_model(call.target.path) for call in service.graph.outward(function)):
        yield from _asked(service, function, held)


def _outward(service: Service, function: Function) -> dict[ast.AST, list[str]]:
    found: dict[ast.AST, list[str]] = {}
    for call in service.graph.outward(function):
        found.setdefault(call.site.node, []).append(call.target.path)
    return found


def _asked(service: Service, function: Function, held: Mapping[str, str]) -> Iterator[Use]:
    """The parts that stand in what a model is asked, directly or through names."""
    texts = {name: [part] for name, part in held.items() if part}
    for _ in range(3):
        for name, bindings in function.bindings.items():
            if name not in texts:
                values = [binding.value for binding in bindings if binding.value is not None]
                parts = [part for value in values for part in _mentioned(value, held, texts)]
                if parts:
                    texts[name] = parts
    for call in service.graph.outward(function):
        if work.asks_model(call.target.path):
            for one in handed_on(call.site.node):
                yield from (Use(part, ASKED, function, call.site.node) for part in _mentioned(one, held, texts))


def _mentioned(node: ast.expr, held: Mapping[str, str], texts: Mapping[str, list[str]]) -> Iterator[str]:
    for inner in walk(node):
        if isinstance(inner, ast.Name):
            yield from texts.get(inner.id, ())
        elif isinstance(inner, ast.Attribute) and (part := _part(inner, held)):
            yield part


def _waits(service: Service, function: Function, loop: ast.AST) -> bool:
    """Something is waited for in each turn: a database, a service, a queue."""
    edges = {edge.site.node: edge.target for edge in service.graph.edges(function)}
    outward = _outward(service, function)
    for node in own([loop]):
        if isinstance(node, ast.AsyncWith) or (isinstance(node, ast.Await) and node.value not in edges):
            return True
        if isinstance(node, ast.Call):
            if last_name(node) in _SENDS or any(blocking.kind(path) in _WAITS for path in outward.get(node, ())):
                return True
            called = edges.get(node)
            if called is None:
                continue
            service.reading.body(called)
            if called.has_await or (called.is_async and called.is_empty) or called in _waiting(service):
                return True
    return False


@known_once
def _waiting(service: Service) -> set[Function]:
    """The functions that a request can run and that wait for something outside, themselves or in what they call."""

    return set(leading_to(service, lambda call: blocking.kind(call.target.path) in _WAITS))
