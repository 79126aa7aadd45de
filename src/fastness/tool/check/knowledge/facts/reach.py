"""Which functions requests run: endpoints, their dependencies, middleware, and what these call or have threads call."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.values import FunctionValue, Instance
from fastness.tool.project.source.symbols import CallSite, Function
from fastness.tool.project.source.walk import walk


@known_once
def from_requests(service: Service) -> set[Function]:
    """Every function of the project that serving a request can run."""
    seen = {route.handler for route in service.routes}
    for route in service.routes:
        seen |= {dependency.target for dependency in service.tree(route) if isinstance(dependency.target, Function)}
    for middleware in service.middleware:
        seen.update(service.run_by(middleware))
    return closure(service, seen)


@known_once
def from_requests_and_tasks(service: Service) -> set[Function]:
    """Every function that serving a request can run, or that it leaves to a background task."""
    seen = set(from_requests(service))
    for module in service.project.service:
        for site in module.calls_by_name.get("add_task", ()):
            left = service.resolver.infer(site.argument("func", 0), site.scope)
            seen.update(value.definition for value in left if isinstance(value, FunctionValue))
    return closure(service, seen)


@known_once
def from_threads(service: Service) -> set[Function]:
    """What the threads call that the service starts; their targets themselves are left out."""
    targets: set[Function] = set()
    called: set[Function] = set()
    for module in service.project.service:
        for site in module.calls_by_name.get("Thread", ()):
            if service.resolver.calls(site, "threading.Thread"):
                found = service.resolver.infer(site.argument("target", 1), site.scope)
                for target in (value.definition for value in found if isinstance(value, FunctionValue)):
                    targets.add(target)
                    called |= _asked(service, target, site)
    return closure(service, targets | called) - targets


def _asked(service: Service, target: Function, site: CallSite) -> set[Function]:
    """The methods that a thread's target calls of the objects that it is given: `args=(self,)`."""
    given = site.argument("args", 3)
    if not isinstance(given, ast.Tuple | ast.List):
        return set()
    parameters = [parameter.arg for parameter, _ in target.parameters][target.owner is not None :]
    objects = {name: service.resolver.infer(one, site.scope) for name, one in zip(parameters, given.elts, strict=False)}
    methods = (
        service.resolver.method(value.definition, call.name)
        for call in target.calls
        if isinstance(call.node.func, ast.Attribute) and isinstance(call.node.func.value, ast.Name)
        for value in objects.get(call.node.func.value.id, ())
        if isinstance(value, Instance)
    )
    return {method for method in methods if method is not None}


def near(service: Service, function: Function, steps: int = 3) -> dict[Function, None]:
    """A function and what it calls, that many calls deep, nearest first."""
    found = dict.fromkeys([function])
    latest = [function]
    for _ in range(steps):
        called = (edge.target for one in latest for edge in service.graph.edges(one))
        latest = [one for one in dict.fromkeys(called) if one not in found]
        found.update(dict.fromkeys(latest))
    return found


def closure(service: Service, functions: Iterable[Function]) -> set[Function]:
    """These functions, and all that they call or have threads call."""
    seen = set(functions)
    pending = list(seen)
    while pending:
        function = pending.pop()
        for edge in (*service.graph.edges(function), *service.graph.in_threads(function)[0]):
            if edge.target not in seen:
                seen.add(edge.target)
                pending.append(edge.target)
    return seen


def beside_routes(service: Service) -> set[Function]:
    """Functions of files with endpoints that are handed over instead of called: validators, callbacks."""
    found_: set[Function] = set()
    for module in {route.handler.module for route in service.routes}:
        handed = {a.id for site in module.all_calls for a in site.node.args if isinstance(a, ast.Name)}
        annotations = (
            p.annotation for function in module.functions for p, _ in function.parameters if p.annotation is not None
        )
        calls = (node for annotation in annotations for node in walk(annotation) if isinstance(node, ast.Call))
        handed |= {a.id for call in calls for a in call.args if isinstance(a, ast.Name)}
        found_ |= {function for function in module.functions if function.name in handed}
    return found_
