"""Whose results endpoints answer with: the functions that make an answer or a part of it, as far as it is handed on."""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from fastness.tool.check.knowledge.answering import answers
from fastness.tool.check.knowledge.answering.responses import parts, put_into
from fastness.tool.check.rule import proof
from fastness.tool.findings import Evidence
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Edge
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.outside import OFFLOADED
from fastness.tool.project.source.symbols import Function, argument, constant, last_name
from fastness.tool.project.source.walk import walk

_Place: TypeAlias = tuple[int, int, int | None, int | None]

_THREADS = frozenset(path.rpartition(".")[2] for path in OFFLOADED)
_WENT_WELL = re.compile(r"(?:\b|_)(?:success|successful|succeeded|ok|valid)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answered:
    """A function of which an endpoint answers with what it returns.

    Attributes:
        key: the one item or attribute that is sent; None when it is everything.
        by: how its caller answers with it; None for an endpoint.
    """

    function: Function
    key: str | None
    by: tuple[Answered, Edge] | None = None

    def told(self) -> Iterator[Evidence]:
        """The way to the endpoint, from there."""
        if self.by is not None:
            caller, edge = self.by
            yield from caller.told()
            yield proof(caller.function, edge.site.node, f"answers with what {self.function.qualified} gives")

    @property
    def endpoint(self) -> Function:
        """Who answers with it."""
        return self.function if self.by is None else self.by[0].endpoint

    @property
    def is_looked_at(self) -> bool:
        """A caller on the way looks at what it got before it answers with it."""
        if self.by is None:
            return False
        caller, edge = self.by
        return caller.is_looked_at or _is_tested(caller.function, edge.site.node)


@known_once
def answered(service: Service) -> list[Answered]:
    """The endpoints, and every function that makes a part of their answers."""
    begun = [Answered(handler, None) for handler in dict.fromkeys(r.handler for r in service.routes if not r.is_websocket)]
    found: dict[Function, set[str | None]] = {one.function: {None} for one in begun}
    pending, given = deque(begun), list(begun)
    while pending:
        caller = pending.popleft()
        for edge, key in _followed(service, caller):
            known = found.setdefault(edge.target, set())
            if key not in known and None not in known:
                known.add(key)
                given.append(Answered(edge.target, key, (caller, edge)))
                pending.append(given[-1])
    return sorted(given, key=lambda one: (one.function.module.path, one.function.line))


def _followed(service: Service, caller: Answered) -> Iterator[tuple[Edge, str | None]]:
    """The calls whose results the caller answers with, each with the item of it that is sent."""
    function = caller.function
    edges = [*service.graph.edges(function), *service.graph.in_threads(function)[0]]

    def follow() -> list[tuple[int, str | None]]:
        return [(edges.index(edge), key) for edge, key in _follow(service, caller)]

    for number, key in service.notes.ask(f"answers with {caller.key!r}", function, follow):
        yield edges[number], key


def _follow(service: Service, caller: Answered) -> Iterator[tuple[Edge, str | None]]:
    function = caller.function
    if not function.calls:
        return
    pending = [(answer, *taken) for answer in _returned(function) for taken in _under(caller.key, answer)]
    pending += [(content, content, None) for content in _raised(service, function)]
    edges: dict[int, list[Edge]] | None = None
    seen: set[tuple[int, ast.expr, str | None]] = set()
    while pending:
        answer, made_of, within = pending.pop()
        for part in parts(made_of, function):
            of, item = _item(part)
            key = item if of is not part else within
            if (answer.lineno, of, key) in seen:
                continue
            seen.add((answer.lineno, of, key))
            if of is not part:
                pending.append((answer, of, item))
            elif isinstance(part, ast.Call) and not _is_checked(function, part, answer):
                edges = _edges(service, function) if edges is None else edges
                for edge in edges.get(id(part), ()) or _threaded(service, function, part):
                    yield edge, key
                    service.reading.body(edge.target)
                    pending += [(answer, given, None) for given in put_into(edge.target, part, converted=True)]


def _edges(service: Service, function: Function) -> dict[int, list[Edge]]:
    found: dict[int, list[Edge]] = {}
    for edge in service.graph.edges(function):
        found.setdefault(id(edge.site.node), []).append(edge)
    return found


def _threaded(service: Service, function: Function, call: ast.Call) -> list[Edge]:
    if last_name(call) not in _THREADS:
        return []
    return [edge for edge in service.graph.in_threads(function)[0] if _is_same(edge.site.node, call)]


def _is_same(one: ast.AST, other: ast.Call) -> bool:
    """What a thread calls stands where the call stands that gives it to the thread."""
    return isinstance(one, ast.Call) and _place(one) == _place(other)


def _place(node: ast.Call) -> _Place:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _returned(function: Function) -> Iterator[ast.expr]:
    """What a function returns, or what a generator yields."""
    for node in function.of(ast.Yield, ast.YieldFrom, ast.Return):
        gives = isinstance(node, ast.Yield | ast.YieldFrom) or (isinstance(node, ast.Return) and not function.is_generator)
        value = getattr(node, "value", None) if gives else None
        if isinstance(value, ast.expr):
            yield value


def _under(key: str | None, answer: ast.expr) -> list[tuple[ast.expr, str | None]]:
    """What an answer has under a key, and what of that is sent: everything, where it is written out."""
    if key is not None and isinstance(answer, ast.Dict):
        return [(value, None) for name, value in zip(answer.keys, answer.values, strict=True) if constant(name) == key]
    if key is not None and isinstance(answer, ast.Call) and any(keyword.arg == key for keyword in answer.keywords):
        return [(keyword.value, None) for keyword in answer.keywords if keyword.arg == key]
    return [(answer, key)]


def _raised(service: Service, function: Function) -> Iterator[ast.expr]:
    """What the HTTP errors carry that a function raises."""
    for node in function.of(ast.Raise):
        if isinstance(node.exc, ast.Call) and argument(node.exc, "detail", 1) is not None:
            yield from answers.contents(node.exc, function, service.resolver, returned=False)


def _item(node: ast.expr) -> tuple[ast.expr, str | None]:
    """`result` and `error` of `result["error"]`, `result.get("error")` and `result.error`; else the expression itself."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        key, of = constant(node.args[0]), node.func.value
    elif isinstance(node, ast.Subscript):
        key, of = constant(node.slice), node.value
    elif isinstance(node, ast.Attribute):
        key, of = node.attr, node.value
    else:
        return node, None
    return (of, key) if isinstance(key, str) and isinstance(of, ast.Name | ast.Call | ast.Await) else (node, None)


def _is_checked(function: Function, call: ast.Call, answer: ast.expr) -> bool:
    """The result has a name, which is asked how it went: what went wrong leaves on another way."""
    names = _names(function).get(_place(call))
    if names is None:
        return False
    for node in function.of(ast.If):
        if not any(_asks_how(inner, names) for inner in walk(node.test)):
            continue
        begin, end = node.body[0].lineno, node.body[-1].end_lineno or 0
        negated = any(isinstance(one, ast.Not | ast.NotEq) for one in walk(node.test))
        went_well = not negated and bool(_WENT_WELL.search(ast.unparse(node.test)))
        if begin <= answer.lineno <= end:
            if went_well:
                return True
        elif answer.lineno > end and isinstance(node.body[-1], ast.Return | ast.Raise) and not went_well:
            return True
    return False


@lru_cache(maxsize=1 << 14)
def _names(function: Function) -> Mapping[_Place, set[str]]:
    """The names that the results of calls are given, by the place of the call."""
    found: dict[_Place, set[str]] = {}
    for node in function.of(ast.Assign):
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if names and isinstance(value, ast.Call):
            found.setdefault(_place(value), set()).update(names)
    return found


def _asks_how(node: ast.AST, names: set[str]) -> bool:
    """`result["ok"]`, `result.ok`, `"error" in result`."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        return isinstance(node.comparators[0], ast.Name) and node.comparators[0].id in names
    if isinstance(node, ast.Attribute | ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id in names
    return False


def _is_tested(function: Function, call: ast.Call) -> bool:
    """A condition asks for the result itself, or for its name."""
    names = _names(function).get(_place(call), set())
    for node in function.of(ast.If, ast.IfExp, ast.While, ast.Assert, ast.BoolOp):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            tests = [node.test]
        elif isinstance(node, ast.BoolOp):
            tests = node.values[:-1]
        else:
            continue
        inside = (inner for test in tests for inner in walk(test))
        if any(_is_same(inner, call) or (isinstance(inner, ast.Name) and inner.id in names) for inner in inside):
            return True
    return False
