"""The functions that run when an app starts or stops: lifespans, event handlers, and what opens resources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.values import ClassValue, External, FunctionValue
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, Scope, argument, last_name


@known_once
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


@known_once
def starts(service: Service) -> list[Function]:
    """Lifespans, start-up handlers, and how the resources of `fastness.lifespan` open."""
    found = dict.fromkeys((*lifespans(service), *_opening(service)))
    for module in service.project.service:
        found.update(dict.fromkeys(_handlers(service, module)))
    return list(found)


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that runs before the service serves, and the function of the project that it runs."""

    site: CallSite
    target: Function


@known_once
def begun(service: Service) -> list[Begun]:
    """What start-up calls: what the functions that start it call, what makes the app, and what stands before `uvicorn.run`."""
    return list(_begun(service))


def _begun(service: Service) -> Iterator[Begun]:
    makers = dict.fromkeys(app.scope for app in service.apps)
    for function in dict.fromkeys((*starts(service), *(scope for scope in makers if isinstance(scope, Function)))):
        before = first_yield(function)
        for edge in service.graph.edges(function):
            if edge.site.node.lineno < before and (edge.site.awaited or not edge.target.is_async):
                yield Begun(edge.site, edge.target)
    for scope, line in _serving(service):
        always = {id(statement.value) for statement in _statements(scope) if isinstance(statement, ast.Expr | ast.Assign)}
        before_it = (site for site in scope.calls if id(site.node) in always and site.node.lineno < line)
        yield from (one for site in before_it for one in _run_by(service, site))
    for scope in makers:
        if not isinstance(scope, Class | Function):
            at_import = (site for site in scope.calls if not site.deferred and not scope.only_as_script(site.node))
            yield from (one for site in at_import for one in _run_by(service, site))


def first_yield(function: Function) -> int:
    """The line after which a lifespan serves."""
    return min((node.lineno for node in function.of(ast.Yield)), default=1 << 30)


def _statements(scope: Scope) -> Iterator[ast.stmt]:
    """What a scope does whenever it runs; of a module, as a script too."""
    if isinstance(scope, Class | Function):
        yield from scope.node.body
        return
    for statement in scope.tree.body:
        yield from statement.body if isinstance(statement, ast.If) and scope.only_as_script(statement.body[0]) else (statement,)


def _run_by(service: Service, site: CallSite) -> Iterator[Begun]:
    yield from (Begun(site, function) for function in functions(service, site) if not function.is_async)


def functions(service: Service, site: CallSite) -> list[Function]:
    """The functions of the project that a call runs; of a class, how its objects are made."""
    found = []
    for value in service.resolver.targets(site):
        if isinstance(value, FunctionValue):
            found.append(value.definition)
        elif isinstance(value, ClassValue) and (made := service.resolver.method(value.definition, "__init__")) is not None:
            found.append(made)
    return found


def _serving(service: Service) -> Iterator[tuple[Scope, int]]:
    """Where a server is told to serve, itself or one call further: the scope, and the line."""
    for module in service.project.service:
        if not module.mentions("uvicorn", "hypercorn"):
            continue
        for name in ("run", "serve"):
            for site in module.calls_by_name.get(name, ()):
                if service.resolver.calls(site, *_SERVERS):
                    yield site.scope, site.node.lineno
                    if isinstance(site.scope, Function):
                        yield from (
                            (caller.scope, caller.node.lineno) for caller in module.calls_by_name.get(site.scope.name, ())
                        )


_SERVERS = ("uvicorn.run", "uvicorn.Server().run", "uvicorn.Server().serve", "hypercorn.run", "hypercorn.asyncio.serve")


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
