"""ORM entities: which values hold them, and which class a query asks for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.answering.responses import is_response, put_into, returned
from fastness.tool.check.knowledge.inputs.bodies import fields
from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.values import ClassValue, Elements, External, FunctionValue, Instance, Value, Values
from fastness.tool.project.source.symbols import CallSite, Class, Function, Kind, Scope, last_name
from fastness.tool.project.source.walk import walk

_QUERY_ENDS = ("all", "first", "one", "one_or_none", "scalar_one", "scalar_one_or_none", "get", "scalars", "scalar")
_MANAGED = frozenset({"all", "filter", "exclude", "order_by", "get", "first", "last", "create"})  # `afirst()` too


def held(service: Service, values: Values) -> Iterator[Class]:
    """The ORM classes of which values are objects, or collections of objects."""
    for value in values:
        yield from _entity(service, value)


def _entity(service: Service, value: Value) -> Iterator[Class]:
    if isinstance(value, Elements):
        yield from held(service, value.of)
    elif isinstance(value, Instance) and service.is_entity(value.definition):
        yield value.definition


def queried(service: Service, node: ast.expr, handler: Function) -> Class | None:
    """`db.query(User).all()`, `db.execute(select(User)).scalars().all()`: what was asked for is what comes."""
    for expression, scope in _sources(service, node, handler):
        called = expression.value if isinstance(expression, ast.Await) else expression
        managed = _managed(service, called, scope)
        if managed is not None:
            return managed
        if not isinstance(called, ast.Call) or last_name(called) not in _QUERY_ENDS:
            continue
        values = service.resolver.infer(called, scope)
        if values and not any(isinstance(value, External) and value.path.startswith("sqlalchemy") for value in values):
            continue
        for inner in (*walk(called), *expanded(called, scope)):  # what it says itself, before what its names were given
            # A session that nobody annotated is known by what it is asked: `session.query(User)`.
            asks = {"query", "select", "get"} if values else {"query"}
            if isinstance(inner, ast.Call) and last_name(inner) in asks and len(inner.args) in {1, 2}:
                for value in service.resolver.infer(inner.args[0], scope):
                    if isinstance(value, ClassValue) and service.is_entity(value.definition):
                        return value.definition
    return None


def _managed(service: Service, node: ast.expr, scope: Function) -> Class | None:
    """`list(User.objects.filter(...))`: what a manager of Django gives."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "list" and len(node.args) == 1:
        node = node.args[0]
    if not isinstance(node, ast.Call) or not {last_name(node), last_name(node).removeprefix("a")} & _MANAGED:
        return None
    inner: ast.expr = node
    while isinstance(inner, ast.Call | ast.Attribute):
        if isinstance(inner, ast.Attribute) and inner.attr == "objects":
            values = service.resolver.infer(inner.value, scope)
            return next((v.definition for v in values if isinstance(v, ClassValue) and service.is_entity(v.definition)), None)
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    return None


def enveloped(service: Service, node: ast.expr, scope: Function) -> Iterator[ast.expr]:
    """What a function of the project is given to put into the answer: `user` of `return success(data=user)`."""
    called = node.value if isinstance(node, ast.Await) else node
    if not isinstance(called, ast.Call):
        return
    for value in service.resolver.infer(called.func, scope):
        if isinstance(value, FunctionValue):
            function = value.definition
            if is_response(service, called, scope) and not function.module.mentions("jsonable_encoder"):
                continue  # a page, or JSON that cannot hold an entity
            yield from put_into(function, called)


_COLUMNS = re.compile(r".*(?:\.column_attrs|\.__table__\.(?:columns|c))")
_OPEN = re.compile(
    r"(?<![\w.])(?:(?:typing\.)?(?:[dD]ict|Mapping)(?:\[str, (?:(?:typing\.)?Any|object)\]|(?!\w|\[))|(?:typing\.)?Any(?!\w))"
)


@known_once
def _dumping(service: Service) -> frozenset[Function]:
    """The functions that make a table of every column of what they are given, or are a method of."""
    modules = [one for one in service.project.service if one.mentions("column_attrs", "__table__")]
    return frozenset(function for module in modules for function in module.functions if _dumps(function))


def _dumps(function: Function) -> bool:
    return any(_is_of_columns(node) for node in function.of(ast.DictComp)) and bool(returned(function))


def _is_of_columns(node: ast.AST) -> bool:
    if not isinstance(node, ast.DictComp) or last_name(node.value) != "getattr":
        return False
    of = node.generators[0]
    return not of.ifs and _COLUMNS.fullmatch(ast.unparse(of.iter)) is not None


def dumped(service: Service, handler: Function) -> Iterator[tuple[CallSite, Function]]:
    """The calls in what an endpoint returns that dump an object, and what they call."""
    dumping = _dumping(service)
    names = {function.name for function in dumping}
    sites = {id(site.node): site for site in handler.calls if site.name in names} if names else {}
    for answer in returned(handler) if sites else ():
        for node in expanded(answer, handler):
            for value in service.resolver.targets(sites[id(node)]) if id(node) in sites else ():
                if isinstance(value, FunctionValue) and value.definition in dumping:
                    yield sites[id(node)], value.definition


def takes_any(service: Service, declared: ast.expr, scope: Scope, keys: set[str], depth: int = 3) -> bool:
    """A response model sends whatever stands under one of these keys, as `rows: list[dict[str, Any]]` does."""
    if _OPEN.search(ast.unparse(declared)):
        return True
    for value in service.resolver.annotation(declared, scope) if depth else ():
        for model in _models(value):
            own = [found for name, found in fields(service, model).items() if name in keys]
            for owner, field in own:
                if isinstance(field, ast.AnnAssign) and takes_any(service, field.annotation, owner, keys, depth - 1):
                    return True
    return False


def _models(value: Value) -> Iterator[Class]:
    if isinstance(value, Elements):
        yield from (model for inner in value.of for model in _models(inner))
    elif isinstance(value, Instance):
        yield value.definition


def expanded(node: ast.expr, scope: Function, depth: int = 0) -> Iterator[ast.AST]:
    """Every node of an expression, and of what its names were given: `result = session.execute(statement)`."""
    for inner in walk(node):
        yield inner
        if isinstance(inner, ast.Name) and depth < 3:
            for binding in scope.bindings.get(inner.id, ()):
                if binding.kind is Kind.ASSIGN and binding.value is not None:
                    yield from expanded(binding.value, scope, depth + 1)


def _sources(service: Service, node: ast.expr, scope: Function, depth: int = 0) -> Iterator[tuple[ast.expr, Function]]:
    """The expression itself, its elements, what its name was given, and what the called functions of the project return."""
    yield node, scope
    if depth > 3:
        return
    if isinstance(node, ast.Name):
        for binding in scope.bindings.get(node.id, ()):
            if binding.value is not None:
                yield from _sources(service, binding.value, scope, depth + 1)
    if isinstance(node, ast.Dict | ast.List | ast.Tuple):
        for inner in node.values if isinstance(node, ast.Dict) else node.elts:
            yield from _sources(service, inner, scope, depth + 1)
    called = node.value if isinstance(node, ast.Await) else node
    if isinstance(called, ast.Call):
        for value in service.resolver.infer(called.func, scope):
            function = getattr(value, "definition", None)
            if isinstance(function, Function) and function.node.returns is None:
                for inner in returned(function):
                    yield from _sources(service, inner, function, depth + 1)
