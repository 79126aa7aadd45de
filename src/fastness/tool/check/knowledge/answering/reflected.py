"""Answers that name the caller's own origin as one that may read them, with the cookies of its user."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function, constant, last_name
from fastness.tool.project.source.walk import walk

_ORIGIN, _CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"


def reflected_origins(module: Module) -> Iterator[tuple[Function, ast.expr]]:
    """The origins of requests that functions write into their answers unseen, where these allow credentials."""
    if not module.mentions("Access-Control-Allow-Credentials", _CREDENTIALS):
        return
    for function in module.functions:
        headers = list(_headers(function))
        if any(name == _CREDENTIALS and str(constant(value)).lower() == "true" for name, value in headers):
            yield from ((function, value) for name, value in headers if name == _ORIGIN and _is_taken_over(value, function))


def _headers(function: Function) -> Iterator[tuple[str, ast.expr]]:
    for written in function.of(ast.Dict):
        yield from ((str(constant(k)).lower(), v) for k, v in zip(written.keys, written.values, strict=True) if k is not None)
    for assigned in function.of(ast.Assign):
        targets = [target for target in assigned.targets if isinstance(target, ast.Subscript)]
        yield from ((str(constant(target.slice)).lower(), assigned.value) for target in targets)


def _is_taken_over(value: ast.expr, function: Function) -> bool:
    """It is what the request says, and the function looks at nothing of it but whether it is there."""
    if _of_request(value):
        return not any(_of_request(side) for side in _looked_at(function))
    if not isinstance(value, ast.Name):
        return False
    given = [binding.value for binding in function.bindings.get(value.id, ())]
    looked_at = any(isinstance(side, ast.Name) and side.id == value.id for side in _looked_at(function))
    return bool(given) and all(one is not None and _of_request(one) for one in given) and not looked_at


def _of_request(value: ast.expr) -> bool:
    """`request.headers.get("origin", "*")`."""
    asked = value.args[0] if isinstance(value, ast.Call) and last_name(value) == "get" and value.args else None
    holder = value.func.value if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else None
    if isinstance(value, ast.Subscript):
        asked, holder = value.slice, value.value
    return str(constant(asked)).lower() == "origin" and holder is not None and last_name(holder) == "headers"


def _looked_at(function: Function) -> Iterator[ast.expr]:
    """What is compared, or handed to somebody who may check it."""
    for compared in function.of(ast.Compare):
        yield from (part for part in walk(compared) if isinstance(part, ast.expr))
    for call in function.of(ast.Call):
        yield from call.args
        yield from (keyword.value for keyword in call.keywords)
