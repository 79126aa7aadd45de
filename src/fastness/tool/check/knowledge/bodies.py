"""The request bodies of path operations: which parameters are bodies, and of which model."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service, literals
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import Class, argument, constant
from fastness.tool.project.values import Elements, External, Instance


def bodies(service: Service, route: Route) -> Iterator[tuple[ast.arg, Class]]:
    """The handler's parameters that FastAPI fills from the body, with their models."""
    handler = route.handler
    injected = {dependency.parameter for dependency in service.parameters(handler)}
    for parameter, _ in handler.parameters:
        if parameter.arg in injected or parameter.annotation is None:
            continue
        values = service.resolver.annotation(parameter.annotation, handler.parent)
        flat = [inner for value in values for inner in (value.of if isinstance(value, Elements) else (value,))]
        for inner in flat:
            if isinstance(inner, Instance) and service.is_model(inner.definition):
                yield parameter, inner.definition


def fields(service: Service, model: Class) -> dict[str, tuple[Class, ast.AST]]:
    """Every field of a model, inherited ones too, with the class and node that declare it."""
    found: dict[str, tuple[Class, ast.AST]] = {}
    for base in reversed([base for base in service.resolver.mro(model) if isinstance(base, Class)]):
        found.update({name: (base, binding.node) for name, binding in base.fields})
    return found


def shows_text(service: Service, owner: Class, field: ast.AST, option: str, value: bool) -> bool:
    """The field is plain text, which a `SecretStr` is not, and does not opt out, as `Field(exclude=True)` does."""
    if not isinstance(field, ast.AnnAssign) or External("str()") not in service.resolver.annotation(field.annotation, owner):
        return False
    said = [field.value, *(extra for extra, _ in literals.metadata(service.resolver, field.annotation, owner))]
    return not any(isinstance(one, ast.Call) and constant(argument(one, option)) is value for one in said)
