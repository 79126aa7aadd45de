"""The text of an exception in code: what is made of it, and who is told."""

from __future__ import annotations

import ast
import re

from fastness.tool.check.knowledge import answers
from fastness.tool.project.symbols import Function, handed_on, last_name
from fastness.tool.project.walk import own, walk

# Exceptions of libraries whose text speaks of the inside.
INTERNAL = (
    "SQLAlchemyError", "IntegrityError", "OperationalError", "DatabaseError", "DBAPIError", "ProgrammingError",
    "OSError", "IOError", "KeyError", "AttributeError", "TypeError", "RuntimeError", "ConnectionError", "ClientError",
    "RequestException",
)  # fmt: skip
_LOGS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical"})
_FOR_DEVELOPERS = re.compile(r"(?:\b|_)(?:debug|dev|develop|development|local)(?:\b|_)", re.IGNORECASE)


def may_tell(call: ast.Call, names: set[str]) -> bool:
    """Some of these names are handed on, and not to a log: asked before what is called is looked up."""
    return last_name(call) not in _LOGS and any(telling(one, names) is not None for one in handed_on(call))


def is_for_developers(function: Function, node: ast.AST) -> bool:
    """The node stands in the body of an `if settings.debug:`. Below `if not settings.debug:` everybody sees it."""
    line = getattr(node, "lineno", 0)
    return any(
        isinstance(outer, ast.If)
        and outer.body[0].lineno <= line <= (outer.body[-1].end_lineno or 0)
        and _FOR_DEVELOPERS.search(ast.unparse(outer.test))
        and not any(isinstance(one, ast.Not | ast.NotEq) for one in walk(outer.test))
        for outer in function.nodes
    )


def named_texts(function: Function, body: list[ast.stmt], names: set[str]) -> dict[str, ast.AST]:
    """Names that are given to the text: `message = str(error)`, alone or beside others."""
    texts: dict[str, ast.AST] = {}
    for node in own(body):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            found = {t.id: node for t, v in pairs if isinstance(t, ast.Name) and telling(v, names) is not None}
            if found and not is_for_developers(function, node):
                texts.update(found)
    return texts


def telling(node: ast.expr, names: set[str]) -> ast.expr | None:
    """The part of an expression that is the text of one of these names: itself, `str()` of it, or an f-string with it."""
    if isinstance(node, ast.Name):
        return node if node.id in names else None
    if isinstance(node, ast.Call):
        return _telling_call(node, names)
    if isinstance(node, ast.Attribute):
        return node if node.attr in {"args", "orig"} and telling(node.value, names) is not None else None
    if isinstance(node, ast.JoinedStr):
        return (
            node
            if any(isinstance(v, ast.FormattedValue) and telling(v.value, names) is not None for v in node.values)
            else None
        )
    if isinstance(node, ast.Dict | ast.BinOp | ast.List | ast.Tuple | ast.IfExp | ast.Subscript):
        children = (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
        return next((place for child in children if (place := telling(child, names)) is not None), None)
    return None


def _telling_call(node: ast.Call, names: set[str]) -> ast.expr | None:
    called = ast.unparse(node.func)
    if called == "traceback.format_exc":
        return node
    inside: list[ast.expr] = []
    if called in {"str", "repr", "format", "jsonable_encoder", "traceback.format_exception"} or called.endswith(".format"):
        inside = list(node.args)
    elif called in {"dict", *answers.BODIES}:
        inside = [keyword.value for keyword in node.keywords]
    return node if any(telling(one, names) is not None for one in inside) else None
