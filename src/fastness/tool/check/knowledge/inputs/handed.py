"""What a function has others run: threads, pools, background tasks, and the functions inside of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from fastness.tool.check.knowledge.facts import reach
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Edge, Outward
from fastness.tool.project.kept.reading import known_once, table
from fastness.tool.project.names.values import External, FunctionValue
from fastness.tool.project.source.symbols import CallSite, Function, argument

_FIRST = {
    "add_task": ("fastapi.BackgroundTasks().add_task",),
    "submit": ("concurrent.futures.ThreadPoolExecutor().submit", "concurrent.futures.ProcessPoolExecutor().submit"),
}


def handed(service: Service, function: Function) -> tuple[list[Edge], list[Outward]]:
    """The calls that a function has others make: of `tasks.add_task(send, mail)` what `send(mail)` would be."""
    table = _known(service)
    known = table.get(function)
    if known is None:
        known = table[function] = service.reading.apart(function, partial(_handed, service, function))
    service.reading.mask |= known[1]
    return known[0]


@table
def _known(_: Service) -> dict[Function, tuple[tuple[list[Edge], list[Outward]], int]]:
    """What was found out of the functions that somebody has asked about, with the modules that were looked into."""
    return {}


def _handed(service: Service, function: Function) -> tuple[list[Edge], list[Outward]]:
    threads, sent = service.graph.in_threads(function)
    later = service.notes.search("calls made later", function, partial(_later, service, function))
    return [*threads, *(o for o in later if isinstance(o, Edge))], [*sent, *(o for o in later if isinstance(o, Outward))]


def _later(service: Service, function: Function) -> Iterator[Edge | Outward]:
    for site in function.calls:
        made = _made(service, site) if site.name in _FIRST or site.name == "Thread" else None
        if made is None:
            continue
        later = replace(site, node=made)
        for value in service.resolver.targets(later):
            if isinstance(value, External):
                yield Outward(later, value)
            elif isinstance(value, FunctionValue):
                yield from (Edge(later, target) for target in service.graph.answering(value))


def _made(service: Service, site: CallSite) -> ast.Call | None:
    """The call that is made later."""
    if site.name == "Thread":
        if not service.resolver.calls(site, "threading.Thread"):
            return None
        given, passed = argument(site.node, "target", 1), argument(site.node, "args", 3)
        if given is None:
            return None
        rest = passed.elts if isinstance(passed, ast.Tuple | ast.List) else []
        return ast.copy_location(ast.Call(given, rest, []), site.node)
    # Tasks that nobody annotated are known by what they are told.
    paths = service.resolver.paths(site.node.func, site.scope)
    if not site.node.args or (paths and not paths & set(_FIRST[site.name])):
        return None
    given, *rest = site.node.args
    return ast.copy_location(ast.Call(given, rest, site.node.keywords), site.node)


def inside(function: Function) -> Iterator[Function]:
    """The functions that a function defines: it has them called by somebody, or calls them itself."""
    return (one for one in function.module.functions if one.parent is function)


def leading_to(service: Service, ends: Callable[[Outward], bool]) -> Iterator[Function]:
    """What requests run or have run, and makes such a call itself or through others: nothing has to be followed elsewhere."""
    run, callers = _callers(service)
    found = [
        function
        for function in run
        if any(ends(call) for call in (*service.graph.outward(function), *handed(service, function)[1]))
    ]
    seen: set[Function] = set()
    while found:
        function = found.pop()
        if function not in seen:
            seen.add(function)
            yield function
            found += callers.get(function, ())


@known_once
def _callers(service: Service) -> tuple[list[Function], dict[Function, list[Function]]]:
    """What requests run or have run, and of each who does."""
    callers: dict[Function, list[Function]] = {}
    run = list(reach.from_requests(service))
    seen = set(run)
    for function in run:  # which gets longer meanwhile
        later = handed(service, function)[0]
        for target in (*(edge.target for edge in (*service.graph.edges(function), *later)), *inside(function)):
            callers.setdefault(target, []).append(function)
            if target not in seen:
                seen.add(target)
                run.append(target)
    return run, callers
