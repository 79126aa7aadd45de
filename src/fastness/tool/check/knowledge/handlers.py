"""`try` statements and what their handlers do with the exception."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.project.symbols import Function, last_name
from fastness.tool.project.walk import own

_BROAD = {"Exception", "BaseException"}
_WORDS = 5  # "ignore errors" explains nothing
_MORE_WORDS = 3  # behind a directive for a linter, which explains nothing itself
_DIRECTIVE = re.compile(
    r"\b(?:noqa|nosec|type: ?ignore|pyright: ?ignore|pylint: ?disable|pragma: ?no ?\w+)\b"
    r"(?:[:=] ?[\w-]+(?:, ?[\w-]+)*|\[[\w, -]*\]| B\d+)?"
)


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


def is_explained(function: Function, handler: ast.ExceptHandler) -> bool:
    """A comment of some words says why nothing has to be done."""
    lines = function.module.lines[handler.lineno - 1 : handler.end_lineno]
    return any(_explains(comment) for line in lines if "#" in line for comment in line.split("#")[1:])


def _explains(comment: str) -> bool:
    words, directives = _DIRECTIVE.subn("", comment)
    return len(re.findall(r"\w[\w'-]*", words)) >= (_MORE_WORDS if directives else _WORDS)
