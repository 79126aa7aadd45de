"""The functions that the event loop runs: where a blocking call stops every other request. Threads are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fastness.tool.project import Service
from fastness.tool.project.calls import Edge
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Function
from fastness.tool.project.values import FunctionValue

_CACHES = ("lru_cache", "cache", "cached", "alru_cache")


@dataclass(slots=True)
class Entry:
    """One function that the loop runs for requests.

    Attributes:
        role: what it is, as `endpoint` or `dependency`.
        routes: how many path operations run it.
    """

    function: Function
    role: str
    routes: int = field(default=1)


def entries(service: Service) -> list[Entry]:
    """Every async endpoint, dependency, middleware, exception handler and background task of the service."""
    found: dict[Function, Entry] = {}
    for function, role in _candidates(service):
        if not function.is_async or function.module.is_test:
            continue
        if function in found:
            found[function].routes += role == "dependency"
        else:
            found[function] = Entry(function, role)
    return list(found.values())


def _candidates(service: Service) -> Iterator[tuple[Function, str]]:
    for route in service.routes:
        yield route.handler, "websocket" if route.is_websocket else "endpoint"
    for route in service.routes:
        for dependency in service.tree(route):
            if isinstance(dependency.target, Function):
                yield dependency.target, "dependency"
    for middleware in service.middleware:
        yield from ((function, "middleware") for function in service.run_by(middleware))
    for module in service.project.service:
        yield from ((function, "exception handler") for function in module.functions if function.decorated("exception_handler"))
        yield from _handed_over(service, module)


_TAKE = (("add_task", 0, "func", "background task"), ("add_exception_handler", 1, "handler", "exception handler"))


def _handed_over(service: Service, module: Module) -> Iterator[tuple[Function, str]]:
    for name, position, keyword, role in _TAKE:
        for site in module.calls_by_name.get(name, ()):
            for value in service.resolver.infer(site.argument(keyword, position), site.scope):
                if isinstance(value, FunctionValue):
                    yield value.definition, role


def runs_here(edge: Edge) -> bool:
    """The called function runs on the caller's thread, each time.

    A cached function runs once. A plain function that is awaited was wrapped by its decorator, which has handed it to a
    thread: awaiting its own result would fail.
    """
    target = edge.target
    if target.decorated(*_CACHES) or target.module.is_test:
        return False
    return not (edge.site.awaited and not target.is_async and target.decorators)
