"""What code gives to the client: the content of responses, HTTP errors and messages, and what endpoints return."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from fastness.tool.check.knowledge.answering.responses import put_into, returned
from fastness.tool.project import Service
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import ClassValue, External, FunctionValue
from fastness.tool.project.routes import METHODS
from fastness.tool.project.source.symbols import Function, argument, handed_on, last_name
from fastness.tool.project.source.walk import walk

BODIES = ("JSONResponse", "ORJSONResponse", "PlainTextResponse", "HTMLResponse", "Response", "UJSONResponse")

_RESPONSES = tuple(f"fastapi.responses.{body}" for body in BODIES)
_MESSAGES = {"fastapi.WebSocket().send_text", "fastapi.WebSocket().send_json"}
_ROUTES = METHODS | {"api_route"}
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


def contents(
    node: ast.AST, function: Function, resolver: Resolver, *, returned: bool, exceptions: Collection[str] = ()
) -> Iterator[ast.expr]:
    """What a part of a body gives to the client.

    Args:
        returned: what the function returns or yields is an answer.
        exceptions: names of exceptions. Who is given one may do with it what he wants; returned, it is a fault of its own.
    """
    if isinstance(node, ast.Call):
        yield from _body(node, function, resolver, exceptions)
    elif returned and isinstance(node, ast.Return | ast.Yield):
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.expr) and not (isinstance(value, ast.Name) and value.id in exceptions):
            yield value
        if isinstance(value, ast.Call) and not _KEEPS.search(last_name(value)):
            for called in resolver.infer(value.func, function):
                if isinstance(called, FunctionValue):
                    resolver.project.reading.body(called.definition)
                    yield from _sent_on(called.definition, value, exceptions)


def _sent_on(function: Function, call: ast.Call, exceptions: Collection[str]) -> Iterator[ast.expr]:
    """What a function makes an answer of, of what a call gives to it."""
    as_they_are = {id(given) for given in put_into(function, call)}
    for given in put_into(function, call, converted=True):
        if not (isinstance(given, ast.Name) and given.id in exceptions and id(given) in as_they_are):
            yield given


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


def _body(call: ast.Call, function: Function, resolver: Resolver, exceptions: Collection[str]) -> list[ast.expr]:
    """What an HTTPException, a response or a message carries to the client; nothing when the call makes none."""
    for value in resolver.infer(call.func, function):
        content: ast.expr | None = None
        if isinstance(value, FunctionValue):
            resolver.project.reading.body(value.definition)
        if isinstance(value, External) and value.path == "fastapi.HTTPException":
            content = argument(call, "detail", 1)
        elif isinstance(value, External) and value.last in BODIES:
            content = argument(call, "content", 0)
        elif isinstance(value, External) and value.path in _MESSAGES:
            content = argument(call, "data", 0)
        elif isinstance(value, ClassValue) and resolver.derives(value.definition, *_RESPONSES):
            content = argument(call, "content", 0)
        elif isinstance(value, FunctionValue) and _responds(value.definition):
            return list(_sent_on(value.definition, call, exceptions))
        elif isinstance(value, ClassValue) and resolver.derives(value.definition, "fastapi.HTTPException"):
            making = resolver.method(value.definition, "__init__")
            resolver.project.reading.body(making or function)
            return _handed_up(call, making)
        if content is not None:
            return [content]
    return []


def _responds(function: Function) -> bool:
    """What it returns it makes as a response, as far as names tell."""
    return not function.is_generator and any(
        isinstance(answer, ast.Call) and last_name(answer).endswith("Response") for answer in returned(function)
    )
