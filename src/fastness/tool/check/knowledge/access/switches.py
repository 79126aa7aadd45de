"""Switches between development and production: which conditions are some, and what they are where nobody sets the variable."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from fastness.tool.project.names import literals
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import Instance
from fastness.tool.project.source.symbols import Function, Scope, constant, last_name

_STAGE = re.compile(
    r"(?:^|[^a-z])(?:dev|devel|development|debug|local|test(?:ing)?|environment|env|stage|prod|production)(?:$|[^a-z])",
    re.IGNORECASE,
)
_DEEPEST = 6
_FOLDS: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "strip": str.strip, "casefold": str.casefold}


class _Unknown:
    """A value that the sources do not tell."""


_UNKNOWN = _Unknown()


def names_stage(test: ast.expr) -> bool:
    """The words of a condition speak of where the service runs."""
    return bool(_STAGE.search(ast.unparse(test)))


def holds_by_default(resolver: Resolver, test: ast.expr, scope: Scope) -> bool:
    """The condition is true where nothing is set: `settings.is_development`, if that is the default."""
    value = _value(resolver, test, scope, 0)
    return value is not _UNKNOWN and bool(value)


def _value(resolver: Resolver, node: ast.expr, scope: Scope, depth: int) -> object:  # noqa: PLR0911 - one dispatch
    if depth > _DEEPEST:
        return _UNKNOWN
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() | ast.Attribute():
            found, holder = literals.origin(resolver, node, scope)
            return _property(resolver, node, scope, depth) if found is node else _value(resolver, found, holder, depth + 1)
        case ast.UnaryOp(op=ast.Not()):
            value = _value(resolver, node.operand, scope, depth + 1)
            return value if value is _UNKNOWN else not value
        case ast.BoolOp():
            values = [_value(resolver, one, scope, depth + 1) for one in node.values]
            decides = isinstance(node.op, ast.Or)
            if any(value is not _UNKNOWN and bool(value) is decides for value in values):
                return decides
            return _UNKNOWN if _UNKNOWN in values else not decides
        case ast.Compare(ops=[operator], comparators=[other]):
            left = _value(resolver, node.left, scope, depth + 1)
            if left is _UNKNOWN:
                return _UNKNOWN
            if isinstance(operator, ast.In | ast.NotIn):
                return _is_among(left, other, negated=isinstance(operator, ast.NotIn))
            right = _value(resolver, other, scope, depth + 1)
            if right is _UNKNOWN or not isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
                return _UNKNOWN
            return (left == right) is isinstance(operator, ast.Eq | ast.Is)
        case ast.Call():
            return _called(resolver, node, scope, depth)
    return _UNKNOWN


def _is_among(value: object, listed: ast.expr, *, negated: bool) -> object:
    if not isinstance(listed, ast.Tuple | ast.List | ast.Set) or not all(isinstance(one, ast.Constant) for one in listed.elts):
        return _UNKNOWN
    return (value in [constant(one) for one in listed.elts]) is not negated


def _called(resolver: Resolver, node: ast.Call, scope: Scope, depth: int) -> object:
    """`os.getenv("ENV", "development")`, `ENV.lower()`."""
    fallback = literals.default(resolver, node, scope)
    if fallback is not node:
        return _value(resolver, fallback, scope, depth + 1)
    fold = _FOLDS.get(last_name(node))
    if fold is None or node.args or not isinstance(node.func, ast.Attribute):
        return _UNKNOWN
    value = _value(resolver, node.func.value, scope, depth + 1)
    return fold(value) if isinstance(value, str) else _UNKNOWN


def _property(resolver: Resolver, node: ast.expr, scope: Scope, depth: int) -> object:
    """What the property of some settings computes of others."""
    if not isinstance(node, ast.Attribute):
        return _UNKNOWN
    for value in resolver.infer(node.value, scope):
        method = resolver.method(value.definition, node.attr) if isinstance(value, Instance) else None
        if isinstance(method, Function) and method.decorated("property", "cached_property", "computed_field"):
            answers = method.of(ast.Return)
            if len(answers) == 1 and answers[0].value is not None:
                return _value(resolver, answers[0].value, method, depth + 1)
    return _UNKNOWN
