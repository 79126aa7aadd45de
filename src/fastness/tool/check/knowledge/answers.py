"""What code gives to the client: the content of responses, HTTP errors and messages, and what endpoints return."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.responses import put_into
from fastness.tool.project import Service
from fastness.tool.project.resolve import Resolver
from fastness.tool.project.routes import METHODS
from fastness.tool.project.symbols import Function, argument, handed_on, last_name
from fastness.tool.project.values import ClassValue, External, FunctionValue
from fastness.tool.project.walk import walk

BODIES = ("JSONResponse", "ORJSONResponse", "PlainTextResponse", "HTMLResponse", "Response", "UJSONResponse")

_RESPONSES = tuple(f"fastapi.responses.{body}" for body in BODIES)
_MESSAGES = {"fastapi.WebSocket().send_text", "fastapi.WebSocket().send_json"}
_ROUTES = METHODS | {"api_route"}
_TEXTS = re.compile(r"str|repr|format|jsonable_encoder|dict|.*\.format|traceback\.\w+")
_KEEPS = re.compile(r"log|record|report|capture|notify|track", re.IGNORECASE)


def is_answer(function: Function, service: Service) -> bool:
    """What the function returns is an answer, or what it yields part of one: it is an endpoint, or written inside of one."""
    if function.is_generator:
        return isinstance(function.parent, Function) and is_answer(function.parent, service)
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in _ROUTES
        and service.is_router(decorator.func.value, function.parent)
        for decorator in function.decorators
    )


def contents(node: ast.AST, function: Function, resolver: Resolver, *, returned: bool) -> Iterator[ast.expr]:
    """What a part of a body gives to the client."""
    if isinstance(node, ast.Call):
        yield from _body(node, function, resolver)
    elif returned and isinstance(node, ast.Return | ast.Yield):
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call) and not (_TEXTS.fullmatch(ast.unparse(value.func)) or _KEEPS.search(last_name(value))):
            # A model, or a function that makes the answer: it is given the text, or the exception to do with what it wants.
            yield from (one for one in _sent_on(value, function, resolver) if not isinstance(one, ast.Name))
        elif isinstance(value, ast.expr) and not isinstance(value, ast.Name):  # the exception itself is a fault of its own
            yield value


def _sent_on(call: ast.Call, function: Function, resolver: Resolver) -> Iterator[ast.expr]:
    """What of a call's arguments becomes part of what it gives."""
    called = [value.definition for value in resolver.infer(call.func, function) if isinstance(value, FunctionValue)]
    for one in called:
        yield from put_into(one, call)
    if not called and (last_name(call)[:1].isupper() or last_name(call) == "dumps"):
        yield from handed_on(call)


def _handed_up(call: ast.Call, init: Function | None) -> list[ast.expr]:
    """What an exception's `__init__` hands to the one of its base; everything where that cannot be told."""
    up = next((site.node for site in init.calls if site.name == "__init__"), None) if init is not None else None
    if init is None or up is None:
        return handed_on(call)
    parameters = [parameter.arg for parameter, _ in init.parameters]
    names = {node.id for one in handed_on(up) for node in walk(one) if isinstance(node, ast.Name)}
    if names & init.bindings.keys() - set(parameters):
        return handed_on(call)  # made of them first
    passed = ((name, argument(call, name, position)) for position, name in enumerate(parameters[1:]))
    return [one for name, one in passed if one is not None and name in names]


def _body(call: ast.Call, function: Function, resolver: Resolver) -> list[ast.expr]:
    """What an HTTPException, a response or a message carries to the client; nothing when the call makes none."""
    for value in resolver.infer(call.func, function):
        content: ast.expr | None = None
        if isinstance(value, External) and value.path == "fastapi.HTTPException":
            content = argument(call, "detail", 1)
        elif isinstance(value, External) and value.last in BODIES:
            content = argument(call, "content", 0)
        elif isinstance(value, External) and value.path in _MESSAGES:
            content = argument(call, "data", 0)
        elif isinstance(value, ClassValue) and resolver.derives(value.definition, *_RESPONSES):
            content = argument(call, "content", 0)
        elif isinstance(value, ClassValue) and resolver.derives(value.definition, "fastapi.HTTPException"):
            return _handed_up(call, resolver.method(value.definition, "__init__"))
        if content is not None:
            return [content]
    return []
