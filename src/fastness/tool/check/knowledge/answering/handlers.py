"""`try` statements and what their handlers do with the exception."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from fastness.tool.project.source.symbols import Function, last_name
from fastness.tool.project.source.walk import own

_BROAD = {"Exception", "BaseException"}
# What is raised when something that the service needs does not answer.
_DOWN = {
    "OperationalError", "InterfaceError", "DatabaseError", "DBAPIError", "SQLAlchemyError", "RedisError", "PyMongoError",
    "ConnectionFailure", "ServerSelectionTimeoutError", "AMQPConnectionError", "KafkaConnectionError", "ConnectionError",
    "ConnectionRefusedError",
}  # fmt: skip
_WORDS = 5  # "ignore errors" explains nothing
_MORE_WORDS = 3  # behind a directive for a linter, which explains nothing itself
_DIRECTIVE = re.compile(
    r"\b(?:noqa|nosec|type: ?ignore|pyright: ?ignore|pylint: ?disable|pragma: ?no ?\w+)\b"
    r"(?:[:=] ?[\w-]+(?:, ?[\w-]+)*|\[[\w, -]*\]| B\d+)?"
)


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


def swallowing(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.Try, ast.ExceptHandler]]:
    """The `try`s that go on after whatever fails, or after what says that something does not answer."""
    nodes = list(nodes)
    retried = {id(inner) for loop in nodes for inner in _retried(loop)}
    for node in nodes:
        if isinstance(node, ast.Try) and id(node) not in retried:
            for handler in node.handlers:
                if (is_broad(handler) or caught(handler) & _DOWN) and not raises(handler):
                    yield node, handler


def _retried(loop: ast.AST) -> list[ast.stmt]:
    """What a loop tries again, and raises when it has run out of attempts: `for ...: try ... else: raise`."""
    if not isinstance(loop, ast.For | ast.AsyncFor) or not any(isinstance(node, ast.Raise) for node in own(loop.orelse)):
        return []
    return loop.body
