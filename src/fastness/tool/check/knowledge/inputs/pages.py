"""Page sizes and other numbers of results that a client asks for, and that nothing bounds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.inputs.bodies import fields, validated
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import External, Instance
from fastness.tool.project.source.symbols import Class, Function, Scope
from fastness.tool.project.source.walk import walk

_LIMIT = re.compile(
    r"^(?:limit|page_size|per_page|items_per_page|pageSize|perPage|size|page_limit|count|top_k|take|first|n|k|top_n|num_results|n_results|max_results|max_items|number_of_results)$"
)
_BOUNDS = {"le", "lt"}
FIELDS = frozenset(
    {"fastapi.Query", "fastapi.Path", "fastapi.Body", "pydantic.Field", "fastapi.param_functions.Query", "fastapi.Form"}
)


def models(service: Service, function: Function) -> Iterator[Class]:
    """`query: Annotated[Page, Query()]`: each field of the model is a parameter."""
    scope = function.parent
    for parameter, default in function.parameters:
        declared = [*literals.metadata(service.resolver, parameter.annotation, scope), (default, scope)]
        if any(isinstance(d, ast.Call) and "fastapi.Query" in service.resolver.paths(d.func, where) for d, where in declared):
            for value in service.resolver.annotation(parameter.annotation, scope):
                if isinstance(value, Instance) and service.is_model(value.definition):
                    yield value.definition


def fields_of(service: Service, model: Class) -> Iterator[tuple[Class, ast.AnnAssign]]:
    checked = validated(service, model)
    for name, (owner, node) in fields(service, model).items():
        if (
            isinstance(node, ast.AnnAssign)
            and name not in checked
            and _LIMIT.match(name)
            and _is_number(service, node.annotation, owner)
        ):
            declared = [d for d, _ in literals.metadata(service.resolver, node.annotation, owner)]
            calls = [call for call in (*declared, node.value) if isinstance(call, ast.Call)]
            if not any(_is_dependency_or_bound(service, call, owner) for call in calls):
                yield owner, node


def parameters(service: Service, function: Function, path: str) -> Iterator[ast.arg]:
    scope = function.parent
    for parameter, default in function.parameters:
        if (
            not _LIMIT.match(parameter.arg)
            or "{" + parameter.arg in path
            or not _is_number(service, parameter.annotation, scope)
        ):
            continue
        declared = [d for d, _ in literals.metadata(service.resolver, parameter.annotation, scope)]
        fields = [node for node in (*declared, default) if isinstance(node, ast.Call)]
        if any(_is_dependency_or_bound(service, node, scope) for node in fields) or _checked_inside(function, parameter.arg):
            continue
        if parameter.arg == "count" and not isinstance(default, ast.Call | ast.Constant):
            continue
        yield parameter


def _is_number(service: Service, annotation: ast.expr | None, scope: Scope) -> bool:
    return External("int()") in service.resolver.annotation(annotation, scope)


def _is_dependency_or_bound(service: Service, node: ast.Call, scope: Scope) -> bool:
    paths = service.resolver.paths(node.func, scope)
    if paths & {"fastapi.Depends", "fastapi.Security", "fastapi.Header", "fastapi.Cookie"}:
        return True
    bound = any(k.arg in _BOUNDS or k.arg is None for k in node.keywords)
    return bound or not paths & FIELDS


def _checked_inside(function: Function, name: str) -> bool:
    """`min(limit, 100)`, or a comparison that bounds it."""
    return any(_bounds(node, name) for node in walk(function.node))


def _bounds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"min", "clamp"}:
        return any(isinstance(one, ast.Name) and one.id == name for one in node.args)
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == name:
        return any(isinstance(op, ast.Gt | ast.GtE) for op in node.ops)
    return False
