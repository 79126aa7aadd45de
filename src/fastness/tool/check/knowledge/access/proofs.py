"""Proofs that need no limit of tries, since nobody guesses them."""

from __future__ import annotations

import ast
import re

from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import External
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Scope, argument, constant

_CODE = re.compile(r"code|token|key|secret|nonce|hash", re.IGNORECASE)
_LONG = 20  # letters and digits: more than 100 bits


def takes_what_nobody_guesses(service: Service, route: Route) -> bool:
    """A UUID, a code that must be as long, or a token that is exchanged for another: they need no limit."""
    taken: dict[str, tuple[ast.expr | None, ast.expr | None, Scope]] = {}
    for parameter, default in route.handler.parameters:
        taken[parameter.arg] = (parameter.annotation, default, route.handler.parent)
        for value in service.resolver.annotation(parameter.annotation, route.handler.parent):
            definition = getattr(value, "definition", None)
            if isinstance(definition, Class):
                taken |= {name: (field.annotation, field.value, definition) for name, field in definition.fields}
    if "refresh_token" in taken and "password" not in taken:
        return True
    return any(_CODE.search(name) and _is_long(service, *said) for name, said in taken.items())


def _is_long(service: Service, annotation: ast.expr | None, default: ast.expr | None, scope: Scope) -> bool:
    if External("uuid.UUID()") in service.resolver.annotation(annotation, scope):
        return True
    said = [default, *(extra for extra, _ in literals.metadata(service.resolver, annotation, scope))]
    bounds = [constant(argument(one, "min_length")) for one in said if isinstance(one, ast.Call)]
    return any(isinstance(bound, int) and bound >= _LONG for bound in bounds)
