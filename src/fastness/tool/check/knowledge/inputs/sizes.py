"""Who asks how large an upload is before all of it is read: the function itself, what it calls first, or its callers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.names.values import External, FunctionValue
from fastness.tool.project.source.symbols import CallSite, Function, handed_on, last_name
from fastness.tool.project.source.walk import walk

_SIZES = frozenset({"size", "tell"})
_UPLOAD = "fastapi.UploadFile()"


def is_asked_first(service: Service, function: Function, line: int) -> bool:
    """The size is asked for before this line of the function runs, wherever the function is called."""
    if _asks(service, function, line):
        return True
    callers = list(_callers(service, function))
    return bool(callers) and all(isinstance(site.scope, Function) and _asks(service, site.scope, site.line) for site in callers)


def _asks(service: Service, function: Function, line: int) -> bool:
    """The function looks at the size above the line, or hands the upload to one that does: `check_size(file)`."""
    if any(node.lineno < line for node in _looks(function)):
        return True
    return any(
        edge.site.line < line and _is_handed_upload(service, edge.site) and _measures(edge.target)
        for edge in service.graph.edges(function)
    )


def _looks(function: Function) -> Iterator[ast.Attribute | ast.Constant]:
    """The size as the file's, the request's, or where the file ends."""
    for node in walk(function.node):
        if isinstance(node, ast.Attribute):
            if node.attr in _SIZES:
                yield node
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() == "content-length":
            yield node


def _measures(function: Function) -> bool:
    """It looks at the size, or counts what it has read: too late for itself, and in time for whoever calls it first."""
    compared = (part for node in function.of(ast.Compare) for part in (node.left, *node.comparators))
    return any(True for _ in _looks(function)) or any(map(_is_length, compared))


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node) == "len" and bool(node.args) and last_name(node.args[0]) != "filename"


def _is_handed_upload(service: Service, site: CallSite) -> bool:
    values = (value for given in handed_on(site.node) for value in service.resolver.infer(given, site.scope))
    return any(isinstance(value, External) and value.path == _UPLOAD for value in values)


def _callers(service: Service, function: Function) -> Iterator[CallSite]:
    for module in service.project.calling(function.name):
        for site in module.calls_by_name.get(function.name, ()):
            targets = service.resolver.targets(site)
            if any(isinstance(value, FunctionValue) and value.definition is function for value in targets):
                yield site
