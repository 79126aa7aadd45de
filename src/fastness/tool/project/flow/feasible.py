"""Which calls of a function are never made with the literals that one call gives it: `profile("read")` never takes the lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from fastness.tool.project.kept.reading import Reading
from fastness.tool.project.source.symbols import CallSite, Function, Kind, last_name
from fastness.tool.project.source.walk import own, walk

Given: TypeAlias = Mapping[str, object]

NOTHING: frozenset[int] = frozenset()
# What is called is the function itself, with what the caller gives. Any other decorator may give more.
_AS_IT_STANDS = frozenset({"contextmanager", "asynccontextmanager", "staticmethod", "classmethod", "override"})


class Branches:
    """The branches of one project's functions. Answers are remembered."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._asked: dict[Function, frozenset[str]] = {}
        self._never: dict[tuple[Function, frozenset[tuple[str, type, object]]], frozenset[int]] = {}

    def never(self, site: CallSite, function: Function) -> frozenset[int]:
        """The numbers of the calls of a function that it does not make when it is called here."""
        call = site.node
        if not _gives_literals(call, function):
            return NOTHING
        self._reading.body(function)
        asked = self._asked.get(function)
        if asked is None:
            asked = self._asked[function] = frozenset(_asked(function))
        given = _given(call, function, asked) if asked else {}
        if not given:
            return NOTHING
        key = (function, frozenset((name, type(value), value) for name, value in given.items()))
        known = self._never.get(key)
        if known is None:
            dead = [*_dead(function.body, given)[0], *_dead_operands(function, given)]
            unmade = {id(one) for root in dead for one in walk(root)}
            known = self._never[key] = frozenset(made.number for made in function.calls if id(made.node) in unmade)
        return known


def _gives_literals(call: ast.Call, function: Function) -> bool:
    if not _AS_IT_STANDS.issuperset(function.decorated_by):
        return False
    if function.name not in {last_name(call.func), "__init__"}:  # a partial may have more
        return False
    if any(keyword.arg is None for keyword in call.keywords) or any(isinstance(one, ast.Starred) for one in call.args):
        return False
    arguments = function.node.args
    return bool(arguments.defaults or arguments.kw_defaults) or any(isinstance(one, ast.Constant) for one in call.args)


def _given(call: ast.Call, function: Function, asked: frozenset[str]) -> dict[str, object]:
    """The literals that the parameters get which the function asks."""
    bound = function.owner is not None and not function.decorated("staticmethod")
    if bound and isinstance(call.func, ast.Attribute) and last_name(call.func.value)[:1].isupper():
        bound = function.decorated("classmethod") or isinstance(call.func.value, ast.Call)  # `Base.run(self, "read")`
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    positions = [*function.node.args.posonlyargs, *function.node.args.args][bound:]
    passed = {parameter.arg: value for parameter, value in zip(positions, call.args, strict=False)}
    found: dict[str, object] = {}
    for parameter, default in function.parameters:
        value = keywords.get(parameter.arg) or passed.get(parameter.arg) or default
        if parameter.arg in asked and isinstance(value, ast.Constant):
            found[parameter.arg] = value.value
    return found


def _asked(function: Function) -> Iterator[str]:
    """The parameters that a branch depends on, and that keep what they were given."""
    parameters = {
        parameter.arg
        for parameter, _ in function.parameters
        if [binding.kind for binding in function.bindings.get(parameter.arg, ())] == [Kind.PARAMETER]
    }
    if parameters:
        parameters -= {name for node in walk(function.node) for name in _bound_otherwise(node)}
    tested: list[ast.expr] = [
        *(node.test for node in function.of(ast.If)),
        *(node.test for node in function.of(ast.While)),
        *(node.test for node in function.of(ast.IfExp)),
        *(node.iter for node in function.of(ast.For)),
        *(node.iter for node in function.of(ast.AsyncFor)),
        *function.of(ast.BoolOp),
    ]
    yield from (one.id for test in tested for one in walk(test) if isinstance(one, ast.Name) and one.id in parameters)


def _bound_otherwise(node: ast.AST) -> Iterator[str]:
    """Names that a pattern captures, or that a function inside sets."""
    if isinstance(node, ast.Nonlocal):
        yield from node.names
    elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name is not None:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest is not None:
        yield node.rest


def _dead(statements: Sequence[ast.stmt], given: Given) -> tuple[list[ast.AST], bool]:
    """What of these statements is not reached, and whether nothing after them is."""
    found: list[ast.AST] = []
    for position, statement in enumerate(statements):
        ends = isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break)
        if isinstance(statement, ast.If):
            chosen = _truth(statement.test, given)
            inside, ends = _dead(statement.body, given)
            otherwise, also = _dead(statement.orelse, given)
            found += statement.body if chosen is False else inside
            found += statement.orelse if chosen is True else otherwise
            ends = {True: ends, False: also, None: ends and also}[chosen]
        elif isinstance(statement, ast.While | ast.For | ast.AsyncFor):
            tested = statement.test if isinstance(statement, ast.While) else statement.iter
            found += statement.body if _truth(tested, given) is False else _dead(statement.body, given)[0]
            found += _dead(statement.orelse, given)[0]
        elif isinstance(statement, ast.With | ast.AsyncWith):
            found += _dead(statement.body, given)[0]  # it may hold an exception back, and what follows goes on
        elif isinstance(statement, ast.Try):
            handled = (handler.body for handler in statement.handlers)
            for body in (statement.body, *handled, statement.orelse, statement.finalbody):
                found += _dead(body, given)[0]
        if ends:
            return [*found, *statements[position + 1 :]], True
    return found, False


def _dead_operands(function: Function, given: Given) -> Iterator[ast.AST]:
    """What is not evaluated within expressions: `read(path) if path else None`, `images and opened(images)`."""
    for node in own(function.node.body):
        if isinstance(node, ast.IfExp):
            chosen = _truth(node.test, given)
            if chosen is not None:
                yield node.orelse if chosen else node.body
        elif isinstance(node, ast.BoolOp):
            stops = isinstance(node.op, ast.Or)
            for position, operand in enumerate(node.values):
                if _truth(operand, given) is stops:
                    yield from node.values[position + 1 :]
                    break


def _truth(test: ast.expr, given: Given) -> bool | None:  # noqa: PLR0911 - one answer per form
    """Whether a test holds with these values; None when that cannot be told."""
    if isinstance(test, ast.Name):
        return bool(given[test.id]) if test.id in given else None
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.List | ast.Tuple | ast.Set) and not test.elts:
        return False
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _truth(test.operand, given)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        stops = isinstance(test.op, ast.Or)
        known = [_truth(operand, given) for operand in test.values]
        return stops if stops in known else None if None in known else not stops
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.left, ast.Name) and test.left.id in given:
        return _compared(given[test.left.id], test.ops[0], test.comparators[0])
    return None


def _compared(value: object, operator: ast.cmpop, with_: ast.expr) -> bool | None:
    if isinstance(operator, ast.Eq | ast.Is | ast.NotEq | ast.IsNot) and isinstance(with_, ast.Constant):
        alike = isinstance(operator, ast.Eq | ast.NotEq) or type(value) is type(with_.value)
        return (alike and value == with_.value) is isinstance(operator, ast.Eq | ast.Is)
    listed = with_.elts if isinstance(with_, ast.List | ast.Tuple | ast.Set) else []
    literals = [one.value for one in listed if isinstance(one, ast.Constant)]
    if isinstance(operator, ast.In | ast.NotIn) and literals and len(literals) == len(listed):
        return (value in literals) is isinstance(operator, ast.In)
    return None
