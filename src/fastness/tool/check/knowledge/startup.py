"""The functions that run when an app starts or stops: lifespans, event handlers, and what opens resources."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Function, Scope, argument, last_name
from fastness.tool.project.values import External, FunctionValue


def lifespans(service: Service) -> list[Function]:
    """Every function that an app or router is given as its lifespan."""
    found: dict[Function, None] = {}
    for router in service.routers:
        given = argument(router.call, "lifespan")
        for value in service.resolver.infer(given, router.scope):
            if isinstance(value, FunctionValue):
                found[value.definition] = None
    for module in service.project.service:
        # One that an app factory receives as an argument, or makes itself, or that is registered to be one of several.
        for function in module.functions:
            if function.decorated("asynccontextmanager") and ("lifespan" in function.name or _takes_app(service, function)):
                found[function] = None
    return list(found)


def _takes_app(service: Service, function: Function) -> bool:
    """It has one parameter, which is annotated as an app."""
    taken = [parameter for parameter, _ in function.parameters]
    values = service.resolver.annotation(taken[0].annotation, function.parent) if len(taken) == 1 else ()
    return any(isinstance(value, External) and value.path in _APPS for value in values)


_APPS = ("fastapi.FastAPI()", "starlette.applications.Starlette()")


def starts(service: Service) -> list[Function]:
    """Lifespans, start-up handlers, and how the resources of `fastness.lifespan` open."""
    found = dict.fromkeys((*lifespans(service), *_opening(service)))
    for module in service.project.service:
        found.update(dict.fromkeys(_handlers(service, module)))
    return list(found)


def _opening(service: Service) -> Iterator[Function]:
    """The `open` of every class that has the form of a resource."""
    modules = service.project.service
    if not any(name == "fastness.lifespan" for module in modules for name, *_ in module.imported):
        return
    for module in modules:
        for one in module.classes:
            opening = one.method("open")
            if opening is not None and opening.is_async and one.method("close") and one.method("check"):
                yield opening


def _handlers(service: Service, module: Module) -> Iterator[Function]:
    if not module.mentions("on_event", "add_event_handler", "on_startup"):
        return
    for function in module.functions:
        for decorator in function.decorators:
            if isinstance(decorator, ast.Call) and last_name(decorator) == "on_event" and _is_startup(decorator):
                yield function
    given = [
        (site.argument("func", 1), site.scope)
        for site in module.calls_by_name.get("add_event_handler", ())
        if _is_startup(site.node)
    ]
    for router in service.routers:
        listed = argument(router.call, "on_startup")
        if isinstance(listed, ast.List | ast.Tuple):
            given += [(element, router.scope) for element in listed.elts]
    for handler, scope in given:
        yield from _functions(service, handler, scope)


def _functions(service: Service, handler: ast.expr | None, scope: Scope) -> Iterator[Function]:
    """The handler, or what the function that makes handlers returns."""
    for value in service.resolver.infer(handler, scope):
        if isinstance(value, FunctionValue):
            yield value.definition


def _is_startup(call: ast.Call) -> bool:
    given = argument(call, "event_type", 0)
    return isinstance(given, ast.Constant) and given.value == "startup"
