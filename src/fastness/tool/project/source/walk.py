"""Walks over syntax trees: what `ast.walk` and `ast.iter_child_nodes` give, several times as fast. Rules walk a lot.

Whether a name is read or written (`ast.Load`, `ast.Store`) is not among the nodes: every third would be one.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LEAVES = (ast.Constant, ast.Name, ast.alias, ast.Global, ast.Nonlocal, ast.MatchSingleton)
_PLAIN = frozenset({
    "arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level", "module", "rest", "simple",
    "tag", "type_comment", "type_ignores",
})  # fmt: skip


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of a kind of node that can hold nodes."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        found = () if issubclass(kind, _LEAVES) else tuple(name for name in kind._fields if name not in _PLAIN)
        self[kind] = found
        return found


FIELDS = _Fields()


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and everything below it, in no order."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        _children(node, pending)


def mentions(node: ast.AST, names: Container[str]) -> bool:
    """One of these names stands in it."""
    return any(isinstance(inner, ast.Name) and inner.id in names for inner in walk(node))


def own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node of these statements that runs with them: functions, classes and lambdas inside, but not what is in those."""
    pending = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _NESTED):
            _children(node, pending)


def _children(node: ast.AST, into: list[ast.AST]) -> None:
    for name in FIELDS[node.__class__]:
        value = getattr(node, name, None)
        if value.__class__ is list:
            if value:
                into += value if None not in value else filter(None, value)
        elif isinstance(value, ast.AST):
            into.append(value)
