"""How large a function's own logic is."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from fastness.tool.project.source.symbols import Function
from fastness.tool.project.source.walk import walk

_DECISIONS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case, ast.comprehension)
_LOG = re.compile(r"(?:self\.)?_?log(?:ger|ging)?\.|print\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Size:
    """Statements, and how many of them or their parts decide something; functions inside count, imports and logging do not."""

    statements: int
    decisions: int

    def __str__(self) -> str:
        return f"{self.statements} statements and {self.decisions} decisions"


def size(function: Function) -> Size:
    """The size of a function's body."""
    statements = decisions = 0
    for statement in function.body:
        for node in walk(statement):
            statements += isinstance(node, ast.stmt) and not _is_no_logic(node)
            decisions += isinstance(node, _DECISIONS)
    return Size(statements, decisions)


def _is_no_logic(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    return isinstance(node.value, ast.Call) and bool(_LOG.match(ast.unparse(node.value.func)))
