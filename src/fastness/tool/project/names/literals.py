"""Values that can be read off the sources: texts and numbers behind names, settings defaults and concatenation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastness.tool.project.names import hints
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance, ModuleValue
from fastness.tool.project.source.symbols import Binding, Class, Function, Kind, Scope, argument

if TYPE_CHECKING:
    from fastness.tool.project.names.resolve import Resolver


# Where the fallback stands among the arguments.
_FALLS_BACK = {
    "pydantic.Field": 0, "sqlmodel.Field": 0, "os.getenv": 1, "os.environ.get": 1, "decouple.config": 1,
    "starlette.config.Config()": 2, "environs.Env().str": 1, "environs.Env()": 1,
}  # fmt: skip


_ENVIRONMENT = ("os.getenv", "os.environ.get")
_READS = ("getenv", "get")


def text(resolver: Resolver, node: ast.expr, scope: Scope) -> str | None:
    """The text of an expression: a literal, a constant, a setting's default, or what these make together. None: unknown."""
    found, holder = origin(resolver, node, scope)
    if isinstance(found, ast.Constant):
        return found.value if isinstance(found.value, str) else None
    if isinstance(found, ast.BinOp) and isinstance(found.op, ast.Add):
        left, right = text(resolver, found.left, holder), text(resolver, found.right, holder)
        return left + right if left is not None and right is not None else None
    if isinstance(found, ast.JoinedStr):
        parts = [_part(resolver, value, holder) for value in found.values]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return None


def beginning(resolver: Resolver, node: ast.expr, scope: Scope) -> str:
    """What the text of an expression begins with, as far as it is known."""
    found, holder = origin(resolver, node, scope)
    if isinstance(found, ast.JoinedStr):
        first = found.values[:1]
    else:
        first = [found.left] if isinstance(found, ast.BinOp) and isinstance(found.op, ast.Add) else []
    whole = text(resolver, found, holder)
    if whole is not None or not first:
        return whole or ""
    return _part(resolver, first[0], holder) or beginning(resolver, first[0], holder)


def _part(resolver: Resolver, value: ast.expr, scope: Scope) -> str | None:
    return text(resolver, value.value if isinstance(value, ast.FormattedValue) else value, scope)


def origin(resolver: Resolver, node: ast.expr, scope: Scope, depth: int = 0) -> tuple[ast.expr, Scope]:
    """The expression behind a name or attribute: the one value that it is ever given, else the expression itself."""
    if depth > 8:
        return node, scope
    bindings: list[tuple[Binding, Scope]] = []
    if isinstance(node, ast.Name):
        found = resolver.binding(node.id, scope)
        if found is not None:
            bindings = [(binding, found[1]) for binding in found[0]]
    elif isinstance(node, ast.Attribute):
        bindings = list(_attribute(resolver, node, scope))
    if len(bindings) != 1:
        return node, scope
    binding, holder = bindings[0]
    if binding.kind is Kind.IMPORT and binding.member is not None:
        importer = holder if not hasattr(holder, "module") else holder.module
        module = resolver.project.find(binding.module, importer)
        return origin(resolver, ast.Name(binding.member), module, depth + 1) if module is not None else (node, scope)
    if isinstance(binding.definition, Function) and isinstance(node, ast.Attribute):
        resolver.project.reading.body(binding.definition)
        given = _property(binding.definition)
        return origin(resolver, given, binding.definition, depth + 1) if given is not None else (node, scope)
    if binding.kind is not Kind.ASSIGN or binding.value is None:
        return node, scope
    return origin(resolver, default(resolver, binding.value, holder), holder, depth + 1)


def _property(function: Function) -> ast.expr | None:
    """The one expression that a property gives, whoever asks."""
    given = function.of(ast.Return) if function.decorated("property", "cached_property") else []
    return given[0].value if len(given) == 1 else None


def default(resolver: Resolver, node: ast.expr, scope: Scope) -> ast.expr:
    """What a `Field(default)` or `os.getenv(name, default)` falls back to, else the expression itself."""
    if not isinstance(node, ast.Call):
        return node
    for value in resolver.infer(node.func, scope):
        given = None
        if isinstance(value, External) and value.path in _FALLS_BACK:
            given = argument(node, "default", _FALLS_BACK[value.path])
        elif isinstance(value, FunctionValue) and reads_environment(resolver, value.definition):
            given = argument(node, "default", value.definition.filled.index("default"))
        if given is not None:
            return given
    return node


def reads_environment(resolver: Resolver, function: Function) -> bool:
    """A function of the project's own reads a variable, and falls back to the `default` that it is given."""
    if "default" not in function.filled or not function.module.mentions("environ", "getenv"):
        return False
    resolver.project.reading.body(function)
    return any(site.name in _READS and resolver.calls(site, *_ENVIRONMENT) for site in function.calls)


def _attribute(resolver: Resolver, node: ast.Attribute, scope: Scope) -> Iterator[tuple[Binding, Scope]]:
    for value in resolver.infer(node.value, scope):
        if isinstance(value, ModuleValue):
            yield from ((binding, value.module) for binding in value.module.bindings.get(node.attr, ()))
        elif isinstance(value, Instance | ClassValue):
            for base in resolver.mro(value.definition):
                if isinstance(base, Class) and node.attr in base.bindings:
                    yield from ((binding, base) for binding in base.bindings[node.attr])
                    return


def metadata(
    resolver: Resolver, annotation: ast.expr | None, scope: Scope, *, deep: int = 20
) -> Iterator[tuple[ast.expr, Scope]]:
    """What an `Annotated` carries besides the type, through aliases, with the scope each expression stands in."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = hints.parsed(annotation)
    if annotation is None or not deep:  # `T = T | None` is made of itself
        return
    if isinstance(annotation, ast.Name | ast.Attribute):
        aliased = hints.alias(resolver, annotation, scope)
        if aliased is not None:
            yield from metadata(resolver, *aliased, deep=deep - 1)
        return
    if isinstance(annotation, ast.BinOp):
        yield from metadata(resolver, annotation.left, scope, deep=deep - 1)
        return
    if isinstance(annotation, ast.Subscript):
        inside = hints.arguments(annotation)
        values = resolver.infer(annotation.value, scope)
        if any(isinstance(value, External) and value.last == "Annotated" for value in values):
            yield from metadata(resolver, inside[0], scope, deep=deep - 1)
            for extra in inside[1:]:
                yield extra, scope
        elif any(isinstance(value, External) and value.last in {"Optional", "Union"} for value in values):
            for argument in inside:
                yield from metadata(resolver, argument, scope, deep=deep - 1)
