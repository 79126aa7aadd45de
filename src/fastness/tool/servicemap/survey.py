"""Draws up the service map from the static model: nothing of the project is run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fastness.tool.project import Service
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Function, dotted
from fastness.tool.servicemap import contacts
from fastness.tool.servicemap.model import (
    ENDPOINT,
    JOB,
    MIDDLEWARE,
    WEBSOCKET,
    Component,
    Entry,
    Gap,
    Place,
    Reach,
    Resource,
    ServiceMap,
    Step,
)
from fastness.tool.servicemap.walk import Walk


def survey(service: Service, *, name: str) -> ServiceMap:
    """The map of a service.

    Args:
        name: of the project, for people.
    """
    sources = list(_sources(service))
    walk = Walk(service)
    ways = _Ways(walk, [function for source in sources for function in (source.function, *source.dependencies)])
    entries = [_entry(source, ways) for source in sources]
    return ServiceMap(name, sorted(entries, key=_order), [*_unknown_places(service), *ways.lost()])


@dataclass(slots=True)
class _Source:
    """Where work comes in, before it is known where it goes."""

    kind: str
    function: Function
    place: Place
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    dependencies: list[Function] = field(default_factory=list)


def _sources(service: Service) -> Iterator[_Source]:
    seen: set[tuple[int, tuple[str, ...], tuple[str, ...]]] = set()
    for route in service.routes:
        source = _of_route(service, route)
        key = (id(source.function), source.methods, source.paths)
        if route.handler.module.is_service and key not in seen:
            seen.add(key)
            yield source
    for middleware in service.middleware:
        for function in service.run_by(middleware):
            if function.module.is_service:
                yield _Source(MIDDLEWARE, function, _place(function))
    for module in service.project.service:
        for function in module.functions:
            if function.decorators and contacts.is_task(service, function):
                yield _Source(JOB, function, _place(function))


def _of_route(service: Service, route: Route) -> _Source:
    targets = [dependency.target for dependency in service.tree(route)]
    callable_ = [_called(service, target) for target in targets]
    dependencies = list(dict.fromkeys(target for target in callable_ if target is not None))
    paths = tuple(dict.fromkeys(path or "/" for path in service.prefixes(route))) or (route.path or "/",)
    return _Source(
        WEBSOCKET if route.is_websocket else ENDPOINT,
        route.handler,
        _place(route.handler),
        tuple(sorted(route.methods)),
        paths,
        dependencies,
    )


def _called(service: Service, target: object) -> Function | None:
    if isinstance(target, Class):
        return service.resolver.method(target, "__init__")
    return target if isinstance(target, Function) else None


def _order(entry: Entry) -> tuple[str, str, tuple[str, ...], tuple[str, ...], Place]:
    return entry.kind if entry.kind in {MIDDLEWARE, JOB} else "", entry.group, entry.paths, entry.methods, entry.place


class _Ways:
    """The shortest way from each function to each resource, over everything that some functions run."""

    def __init__(self, walk: Walk, begin: Iterable[Function]) -> None:
        self._walk = walk
        self._callers: dict[Function, list[Function]] = {}
        self._users: dict[Resource, list[Function]] = {}
        self._reached: set[Function] = set()
        pending = deque(dict.fromkeys(begin))
        self._reached.update(pending)
        while pending:
            function = pending.popleft()
            run = walk.of(function)
            for resource in run.contacts:
                self._users.setdefault(resource, []).append(function)
            for target in run.runs:
                self._callers.setdefault(target, []).append(function)
                if target not in self._reached and not target.module.is_test:
                    self._reached.add(target)
                    pending.append(target)
        self._next = {resource: self._steps(users) for resource, users in sorted(self._users.items())}

    def _steps(self, users: Sequence[Function]) -> Mapping[Function, Function | None]:
        """For each function that reaches one of these, the next on the way; None for these themselves."""
        steps: dict[Function, Function | None] = dict.fromkeys(sorted(users, key=_position))
        pending = deque(steps)
        while pending:
            function = pending.popleft()
            for caller in self._callers.get(function, ()):
                if caller not in steps:
                    steps[caller] = function
                    pending.append(caller)
        return steps

    def of(self, source: _Source) -> Iterator[Reach]:
        """Each resource that an entry reaches: by itself if it does, else by a dependency."""
        for resource, steps in self._next.items():
            begin = next((one for one in (source.function, *source.dependencies) if one in steps), None)
            if begin is not None:
                chain = [begin]
                while (following := steps[chain[-1]]) is not None:
                    chain.append(following)
                contact = self._walk.of(chain[-1]).contacts[resource]
                after = chain[1:] if begin is source.function else chain
                told = tuple(Step(one.qualified, _place(one), _component(one)) for one in after)
                place = Place(chain[-1].module.path, contact.line)
                yield Reach(resource, begin.qualified, told, contact.call, place)

    def lost(self) -> Iterator[Gap]:
        """The calls that could not be followed, by what they call, the commonest first."""
        found: dict[str, list[Place]] = {}
        for function in self._reached:
            for site in self._walk.of(function).lost:
                called = dotted(site.node.func) or f"….{site.name}"
                found.setdefault(called, []).append(Place(function.module.path, site.node.lineno))
        for called, places in sorted(found.items(), key=lambda one: (-len(one[1]), one[0])):
            yield Gap(f"what `{called}` is cannot be told", min(places), len(places))


def _entry(source: _Source, ways: _Ways) -> Entry:
    return Entry(
        source.kind,
        source.methods,
        source.paths,
        source.function.qualified,
        source.place,
        _component(source.function),
        tuple(ways.of(source)),
    )


def _component(function: Function) -> Component:
    """The class of a method, else the module; of a function inside of another, that one's."""
    outer = function
    while isinstance(outer.parent, Function):
        outer = outer.parent
    owner = outer.owner
    name = owner.qualified if owner is not None else outer.module.name or outer.module.path
    return Component(name, outer.module.path)


def _unknown_places(service: Service) -> Iterator[Gap]:
    for path, reason in sorted(service.project.unreadable.items()):
        yield Gap(f"the file is not read: {reason}", Place(path, 1))
    unknown = ((_unknown_path(service, r), _place(r.handler)) for r in service.routes if r.handler.module.is_service)
    for what, place in dict.fromkeys(one for one in unknown if one[0]):
        yield Gap(what, place)


def _unknown_path(service: Service, route: Route) -> str:
    if route.router is None:
        return f"which router {route.handler.qualified} is added to cannot be told: its path lacks the prefixes"
    if any("{?}" in path for path in service.prefixes(route)):
        return f"a part of the path of {route.handler.qualified} is told at run time"
    if not route.router.is_app and not route.router.included_in and service.apps:
        return f"no `include_router` of the router of {route.handler.qualified} is found: its path lacks the prefixes"
    return ""


def _place(function: Function) -> Place:
    return Place(function.module.path, function.node.lineno)


def _position(function: Function) -> tuple[str, int]:
    return function.module.path, function.node.lineno
