"""The request bodies of path operations: which parameters are bodies, and of which model."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import Elements, External, Instance
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Function, Scope, argument, constant, last_name

# What `annotated_types` and validators say by their names.
_SAID = {"MaxLen": "max_length", "Le": "le", "Lt": "lt", "AfterValidator": "validator", "BeforeValidator": "validator",
         "WrapValidator": "validator", "PlainValidator": "validator"}  # fmt: skip


def bodies(service: Service, route: Route) -> Iterator[tuple[Function, ast.arg, Class]]:
    """The parameters that FastAPI fills from the body, of the handler and of what it depends on, with their models."""
    depended_on = (dependency.target for dependency in service.tree(route))
    for function in (route.handler, *(target for target in depended_on if isinstance(target, Function))):
        yield from ((function, parameter, model) for parameter, model in _of(service, function))


def _of(service: Service, function: Function) -> Iterator[tuple[ast.arg, Class]]:
    injected = {dependency.parameter for dependency in service.parameters(function)}
    for parameter, _ in function.parameters:
        if parameter.arg in injected or parameter.annotation is None:
            continue
        values = service.resolver.annotation(parameter.annotation, function.parent)
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
    return not _says(service, owner, field, option, value)


def is_left_out(service: Service, owner: Class, field: ast.AST) -> bool:
    """What a client sends for the field is in no dump of the model: `Field(exclude=True)`."""
    return isinstance(field, ast.AnnAssign) and _says(service, owner, field, "exclude", value=True)


def _says(service: Service, owner: Class, field: ast.AnnAssign, option: str, value: bool) -> bool:
    said = [field.value, *(extra for extra, _ in literals.metadata(service.resolver, field.annotation, owner))]
    return any(isinstance(one, ast.Call) and constant(argument(one, option)) is value for one in said)


def validated(service: Service, model: Class) -> set[object]:
    """The names of the fields that a validator of the model looks at."""
    return {
        constant(given)
        for base in service.resolver.mro(model)
        if isinstance(base, Class)
        for method in base.methods
        for decorator in method.decorators
        if isinstance(decorator, ast.Call)
        for given in decorator.args
    }


def part(service: Service, model: Class, path: str) -> tuple[Class, ast.AnnAssign] | None:
    """The field at the end of `order.lines`, with the class that declares it; None when a validator looks at it."""
    name, _, rest = path.partition(".")
    owner, node = fields(service, model).get(name, (model, None))
    if not isinstance(node, ast.AnnAssign) or name in validated(service, model):
        return None
    if not rest:
        return owner, node
    values = service.resolver.annotation(node.annotation, owner)
    inner = next((v.definition for v in values if isinstance(v, Instance) and service.is_model(v.definition)), None)
    return part(service, inner, rest) if inner is not None else None


def options(service: Service, annotation: ast.expr | None, default: ast.expr | None, scope: Scope) -> set[str | None]:
    """The names of what is said of a field or parameter: of `Field(max_length=50)`, `Annotated[str, Field(le=1)]`."""
    declared = [default, *(extra for extra, _ in literals.metadata(service.resolver, annotation, scope))]
    calls = [one for one in declared if isinstance(one, ast.Call)]
    return {keyword.arg for call in calls for keyword in call.keywords} | {_SAID.get(last_name(call), "") for call in calls}
