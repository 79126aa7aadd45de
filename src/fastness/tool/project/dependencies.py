"""What path operations depend on: the dependencies that parameters, routers, includes and classes declare, followed down."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project.kept.reading import EVERYTHING
from fastness.tool.project.names import literals
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance, Values
from fastness.tool.project.routes import Dependency, Route, Router
from fastness.tool.project.source.symbols import Class, Function, Kind, Scope, argument

_DEPENDS = ("fastapi.Depends()", "fastapi.Security()")
_DECLARES_ITSELF = ("fastness.auth.CurrentPrincipal()",)  # an `Annotated` of a library, which is not read


class Dependencies:
    """The dependencies of one service. Answers are remembered.

    Attributes:
        resolver: what names and expressions stand for.
    """

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self._parameters: dict[Function, tuple[list[Dependency], int]] = {}  # with the modules that were looked into
        self._trees: dict[Route, list[Dependency]] = {}

    def declared(self, listed: ast.expr | None, scope: Scope, inside: frozenset[int] = frozenset()) -> list[Dependency]:
        """The dependencies of a `dependencies=[...]`. `inside`: the lists that are being read, by id."""
        if isinstance(listed, ast.Name):
            bound = self.resolver.binding(listed.id, scope)
            if bound is not None and bound[0][-1].kind is Kind.ASSIGN:
                # `LISTED = [*LISTED, more]` goes on from what the name had been given before.
                given = [one.value for one in bound[0] if one.kind is Kind.ASSIGN and id(one.value) not in inside]
                listed, scope = given[-1] if given else None, bound[1]
                inside |= {id(listed)}
        if isinstance(listed, ast.BinOp) and isinstance(listed.op, ast.Add):
            return self.declared(listed.left, scope, inside) + self.declared(listed.right, scope, inside)
        if not isinstance(listed, ast.List | ast.Tuple):
            return []
        found: list[Dependency] = []
        for element in listed.elts:
            if isinstance(element, ast.Starred):
                found += self.declared(element.value, scope, inside)
            else:
                found += self._element(element, scope)
        return found

    def _element(self, node: ast.expr, scope: Scope) -> list[Dependency]:
        """One of a list: whatever a call there gives is a dependency, also when a library makes it: `Requires("read")`."""
        made = self.dependency(node, scope)
        if made is None and isinstance(node, ast.Call):
            values = self.resolver.infer(node, scope)
            made = Dependency(next((v for v in values if isinstance(v, External)), None), node, scope, node)
        return [made] if made is not None else []

    def dependency(self, node: ast.expr, scope: Scope, parameter: str | None = None) -> Dependency | None:
        """The dependency that a `Depends(...)` expression declares; a name or a call that stands for one counts."""
        if isinstance(node, ast.Name | ast.Attribute | ast.Call):
            for value in self.resolver.infer(node, scope):
                if isinstance(value, External) and value.path in _DEPENDS and value.call and value.call[0] is not node:
                    return self.dependency(value.call[0], value.call[1], parameter)
        if not isinstance(node, ast.Call):
            return None
        provider = self.resolver.provider(node, scope)
        security = "fastapi.Security" in self.resolver.paths(node.func, scope)
        if provider is None:
            is_dependency = self.resolver.paths(node.func, scope) & {"fastapi.Depends", "fastapi.Security"}
            return Dependency(None, node, scope, node, parameter, security) if is_dependency else None
        return Dependency(self._target(self.resolver.infer(provider, scope)), node, scope, node, parameter, security)

    def _target(self, values: Values) -> Function | Class | External | None:
        for value in values:
            if isinstance(value, FunctionValue | ClassValue):
                return value.definition
            if isinstance(value, Instance):
                return self.resolver.method(value.definition, "__call__") or value.definition
            if isinstance(value, External):
                return value
        return None

    def parameters(self, function: Function) -> list[Dependency]:
        """The dependencies that a function's parameters declare, in `Annotated` or as defaults."""
        reading = self.resolver.project.reading
        known = self._parameters.get(function)
        if known is None:
            known = self._parameters[function] = reading.apart(function, lambda: list(self._declared_by(function)))
        reading.mask |= known[1]
        return known[0]

    def _declared_by(self, function: Function) -> Iterator[Dependency]:
        scope = function.parent
        for parameter, default in function.parameters:
            found = self.dependency(default, scope, parameter.arg) if default is not None else None
            found = found or self._annotated(parameter, scope)
            if found is not None:
                if found.target is None and isinstance(found.node, ast.Call) and not found.node.args:
                    found.target = self._target(self._class_of(parameter.annotation, scope))  # `x: Class = Depends()`
                yield found

    def _class_of(self, annotation: ast.expr | None, scope: Scope) -> Values:
        values = self.resolver.annotation(annotation, scope)
        made = (ClassValue(value.definition) for value in values if isinstance(value, Instance))
        return (*made, *(value for value in values if isinstance(value, External)))

    def _annotated(self, parameter: ast.arg, scope: Scope) -> Dependency | None:
        for metadata, where in literals.metadata(self.resolver, parameter.annotation, scope):
            found = self.dependency(metadata, where, parameter.arg)
            if found is not None:
                if found.target is None:
                    found.target = self._target(self._class_of(parameter.annotation, scope))
                return found
        for value in self.resolver.annotation(parameter.annotation, scope):
            if isinstance(value, External) and value.path in _DECLARES_ITSELF and parameter.annotation is not None:
                return Dependency(value, parameter.annotation, scope, None, parameter.arg)
        return None

    def dependencies(self, route: Route) -> list[Dependency]:
        """Everything that a route depends on directly: its own, its router's, those of every include, its app's."""
        found = [*self.parameters(route.handler), *self.declared(route.option("dependencies"), route.scope)]
        if route.handler.owner is not None:
            found += self._of_class(route.handler.owner)
        return found + (self._inherited(route.router, frozenset()) if route.router is not None else [])

    def _of_class(self, defined: Class) -> list[Dependency]:
        found = []
        for base in self.resolver.mro(defined):
            if isinstance(base, Class):
                for name, bindings in base.bindings.items():
                    values = [binding.value for binding in bindings if binding.value is not None]
                    found += [made for value in values if (made := self.dependency(value, base, name))]
        return found

    def _inherited(self, router: Router, seen: frozenset[int]) -> list[Dependency]:
        if id(router) in seen:
            return []
        found = list(router.dependencies)
        for include in router.included_in:
            found += self.declared(argument(include.call, "dependencies"), include.scope)
            if include.parent is not None:
                found += self._inherited(include.parent, seen | {id(router)})
        return found

    def tree(self, route: Route) -> list[Dependency]:
        """Every dependency of a route, direct or not, each target once."""
        self.resolver.project.reading.mask |= EVERYTHING
        known = self._trees.get(route)
        if known is None:
            known = self._trees[route] = list(self._tree(route))
        return known

    def _tree(self, route: Route) -> Iterator[Dependency]:
        seen: set[int] = set()
        pending = self.dependencies(route)
        while pending:
            dependency = pending.pop(0)
            if dependency.target is not None and id(dependency.target) in seen:
                continue
            seen.add(id(dependency.target))
            yield dependency
            pending += self.nested(dependency)

    def nested(self, dependency: Dependency) -> list[Dependency]:
        """What a dependency itself depends on."""
        target = dependency.target
        if isinstance(target, Class):
            made = self.resolver.method(target, "__init__")
            fields = [d for _, b in target.fields if b.value is not None and (d := self.dependency(b.value, target))]
            return [*(self.parameters(made) if made else ()), *fields]
        return self.parameters(target) if isinstance(target, Function) else []
