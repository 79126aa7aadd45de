"""Which functions requests run: endpoints, their dependencies, middleware, and what these call or have threads call."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from fastness.tool.project import Service
from fastness.tool.project.symbols import Function

_KNOWN: WeakKeyDictionary[Service, set[Function]] = WeakKeyDictionary()


def from_requests(service: Service) -> set[Function]:
    """Every function of the project that serving a request can run."""
    known = _KNOWN.get(service)
    if known is None:
        seen = {route.handler for route in service.routes}
        for route in service.routes:
            seen |= {dependency.target for dependency in service.tree(route) if isinstance(dependency.target, Function)}
        for middleware in service.middleware:
            seen.update(service.run_by(middleware))
        known = _KNOWN[service] = _closure(service, seen)
    return known


def _closure(service: Service, seen: set[Function]) -> set[Function]:
    pending = list(seen)
    while pending:
        function = pending.pop()
        for edge in (*service.graph.edges(function), *service.graph.in_threads(function)[0]):
            if edge.target not in seen:
                seen.add(edge.target)
                pending.append(edge.target)
    return seen
