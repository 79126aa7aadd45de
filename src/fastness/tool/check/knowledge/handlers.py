"""`try` statements and what their handlers do with the exception."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project.symbols import Function, last_name
from fastness.tool.project.walk import own

_BROAD = {"Exception", "BaseException"}


def tries(function: Function) -> Iterator[ast.Try]:
    """The function's own `try` statements."""
    return iter(function.of(ast.Try))


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The last names of the exceptions that a handler catches; empty for a bare `except`."""
    if handler.type is None:
        return set()
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {last_name(one) for one in types}


def is_broad(handler: ast.ExceptHandler) -> bool:
    """It catches everything, known and unknown."""
    return handler.type is None or bool(caught(handler) & _BROAD)


def raises(handler: ast.ExceptHandler) -> bool:
    """It raises again, or something else, or ends the process, at least on one way through."""
    return any(isinstance(node, ast.Raise) or _exits(node) for node in own(handler.body))


def _exits(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"sys.exit", "os._exit"}
