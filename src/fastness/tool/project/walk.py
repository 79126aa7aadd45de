"""Walks over syntax trees: what `ast.walk` and `ast.iter_child_nodes` give, several times as fast. Rules walk a lot."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and everything below it, in no order."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        _children(node, pending)


def own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node of these statements that runs with them: functions, classes and lambdas inside, but not what is in those."""
    pending = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _NESTED):
            _children(node, pending)


def _children(node: ast.AST, into: list[ast.AST]) -> None:
    for name in node._fields:
        value = getattr(node, name, None)
        if value.__class__ is list:
            into.extend([item for item in value if isinstance(item, ast.AST)])
        elif isinstance(value, ast.AST):
            into.append(value)
