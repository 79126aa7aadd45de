"""What an operation takes from a client to know who it is: parameters, fields of a model, or items of what was sent."""

from __future__ import annotations

import ast
import re

from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Function, last_name

_HOLDS_THEM = re.compile(r"Credentials|Login|SignIn|Password")
_FIELDS = {"password", "email", "username", "otp"}


def declares(service: Service, route: Route, names: re.Pattern[str]) -> bool:
    """One of these names is that of a parameter, or of a field of one; the caller that a guard gives has an address too."""
    injected = {one.parameter for one in service.parameters(route.handler) if isinstance(one.target, Function)}
    for parameter in (one for one, _ in route.handler.parameters if one.arg not in injected):
        declared = "" if parameter.annotation is None else ast.unparse(parameter.annotation)
        if names.search(parameter.arg) or _HOLDS_THEM.search(declared):
            return True
        for value in service.resolver.annotation(parameter.annotation, route.handler.parent):
            definition = getattr(value, "definition", None)
            if isinstance(definition, Class) and any(names.search(name) for name, _ in definition.fields):
                return True
    return False


def takes_from_request(service: Service, route: Route) -> bool:
    """The handler reads credentials out of the request, or of whatever was sent."""
    handler = route.handler
    return _reads_credentials(handler) and any(
        _is_table(parameter.annotation)
        or External("fastapi.Request()") in service.resolver.annotation(parameter.annotation, handler.parent)
        for parameter, _ in handler.parameters
    )


def _reads_credentials(handler: Function) -> bool:
    """`form.password.data`, `body["email"]`: the handler takes them from the request itself."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr in _FIELDS) or (isinstance(node, ast.Constant) and node.value in _FIELDS)
        for node in handler.nodes
    )


def _is_table(annotation: ast.expr | None) -> bool:
    """`data: dict`: whatever was sent."""
    declared = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return declared is not None and last_name(declared) in {"dict", "Dict"}
