"""Who calls whom: the edges that running a function takes, and the shortest chain from it to a call of interest.

What only mentions a function does not call it, so work that is handed to a thread ends a chain by itself; `in_threads` has it.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fastness.tool.project.reading import EVERYTHING
from fastness.tool.project.resolve import OFFLOADED, Resolver
from fastness.tool.project.symbols import CallSite, Class, Function, last_name
from fastness.tool.project.values import ClassValue, External, FunctionValue, Instance

_MANY = 12  # implementations of one abstract method or protocol; beyond, the chain says nothing about the call

_THREADS: dict[str, list[str]] = {}
for _path in OFFLOADED:
    _THREADS.setdefault(_path.rpartition(".")[2], []).append(_path)


@dataclass(frozen=True, slots=True)
class Edge:
    """One call from one function of the project to another."""

    site: CallSite
    target: Function


@dataclass(frozen=True, slots=True)
class Outward:
    """One call that leaves the project."""

    site: CallSite
    target: External


@dataclass(frozen=True, slots=True)
class Chain:
    """How an entry reaches a call: the edges in order, then the call itself."""

    entry: Function
    edges: tuple[Edge, ...]
    last: Outward


class CallGraph:
    """The calls of one project, resolved when asked for."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self._edges: dict[Function, tuple[list[Edge], list[Outward]]] = {}
        self._threads: dict[Function, tuple[list[Edge], list[Outward]]] = {}

    def edges(self, function: Function) -> list[Edge]:
        """The functions of the project that running this one runs."""
        return self._of(function)[0]

    def outward(self, function: Function) -> list[Outward]:
        """The calls to libraries that running this function makes itself."""
        return self._of(function)[1]

    def in_threads(self, function: Function) -> tuple[list[Edge], list[Outward]]:
        """The calls that this function has threads make: of `to_thread(send, mail)` what `send(mail)` would be."""
        self.resolver.project.reading.mask |= EVERYTHING
        known = self._threads.get(function)
        if known is None:
            known = self._threads[function] = ([], [])
            for site in function.calls:
                position = next((OFFLOADED[path] for path in _THREADS.get(site.name, ()) if self.resolver.calls(site, path)), 9)
                if len(site.node.args) > position:
                    given, *rest = site.node.args[position:]
                    made = ast.copy_location(ast.Call(given, rest, site.node.keywords), site.node)
                    self._resolve(replace(site, node=made), *known)
        return known

    def nearest(
        self,
        entries: Iterable[Function],
        classify: Callable[[Outward], str | None],
        *,
        through: Callable[[Edge], bool] = lambda _: True,
    ) -> dict[Function, dict[str, Chain]]:
        """For each entry the shortest chain to a call of each class that it reaches.

        The whole part of the graph that the entries reach is walked once, forwards for its edges and backwards from the
        calls, whatever the number of entries. Chains come in the order of their entries' places.

        Args:
            classify: the class of a call, None for one that is of no interest.
            through: whether a chain may go on over an edge.
        """
        entries = sorted(set(entries), key=_place)
        callers: dict[Function, list[tuple[Function, Edge]]] = {}
        direct: dict[str, dict[Function, Outward]] = {}
        seen, pending = set(entries), deque(entries)
        while pending:
            function = pending.popleft()
            for call in self.outward(function):
                kind = classify(call)
                if kind is not None:
                    direct.setdefault(kind, {}).setdefault(function, call)
            for edge in self.edges(function):
                if through(edge):
                    callers.setdefault(edge.target, []).append((function, edge))
                    if edge.target not in seen:
                        seen.add(edge.target)
                        pending.append(edge.target)
        found: dict[Function, dict[str, Chain]] = {}
        for kind, ends in direct.items():
            steps = _steps(ends, callers)
            for entry in entries:
                if entry in ends or entry in steps:
                    found.setdefault(entry, {})[kind] = _chain(entry, ends, steps)
        return found

    def _of(self, function: Function) -> tuple[list[Edge], list[Outward]]:
        self.resolver.project.reading.mask |= EVERYTHING
        known = self._edges.get(function)
        if known is None:
            known = self._edges[function] = ([], [])
            for site in function.calls:
                if not site.deferred:
                    self._resolve(site, *known)
        return known

    def _resolve(self, site: CallSite, edges: list[Edge], outward: list[Outward]) -> None:
        targets = self.resolver.targets(site)
        # `handlers[name](...)`: which function of a table it is, only the key says.
        if isinstance(site.node.func, ast.Subscript) and sum(isinstance(value, FunctionValue) for value in targets) > 1:
            targets = tuple(value for value in targets if not isinstance(value, FunctionValue))
        for value in targets:
            if isinstance(value, External):
                outward.append(Outward(site, value))
            elif isinstance(value, FunctionValue):
                edges += [Edge(site, target) for target in self.answering(value)]
            elif isinstance(value, ClassValue):
                made = self.resolver.method(value.definition, "__init__")
                edges += [Edge(site, made)] if made else []
            elif isinstance(value, Instance):
                called = self.resolver.method(value.definition, "__call__")
                edges += [Edge(site, called)] if called else []

    def answering(self, value: FunctionValue) -> list[Function]:
        """The methods that may answer: of an abstract one those of subclasses, of a protocol's those of what has its form."""
        function = value.definition
        if function.owner is None or not is_abstract(function):
            return [function]
        # A protocol that extends another may have nobody that answers to all of it.
        for owner in dict.fromkeys((value.receiver or function.owner, function.owner)):
            found = self.resolver.overriding(owner, function.name)
            found += [self.resolver.method(one, function.name) for one in self._forms.get(owner, ())]
            answering = {method for method in found if method is not None and not is_abstract(method)}
            if 0 < len(answering) <= _MANY:
                return sorted(answering, key=_place)
        return [function]

    @cached_property
    def _forms(self) -> dict[Class, list[Class]]:
        """The classes that have the form of each protocol of the project, without inheriting from it."""
        modules = self.resolver.project.service
        classes = [one for module in modules for one in module.classes]
        maybe = [one for module in modules if module.mentions("Protocol") for one in module.classes]
        protocols = [one for one in maybe if any(last_name(base) == "Protocol" for base in _bases(one))]
        found: dict[Class, list[Class]] = {}
        for protocol in protocols:
            wanted = {m.name: m for m in protocol.methods if not m.decorated("property", "cached_property")}
            having = [one for one in classes if wanted and one not in protocols and _has(one, wanted)]
            if 0 < len(having) <= _MANY:
                found[protocol] = having
        return found


def _place(function: Function) -> tuple[str, int]:
    """The order in which ways are looked for, so that of two that are equally short every run takes the same."""
    return function.module.path, function.line


def _steps(ends: Iterable[Function], callers: Mapping[Function, list[tuple[Function, Edge]]]) -> dict[Function, Edge]:
    """The first edge of the shortest way from each function to one of the ends."""
    steps: dict[Function, Edge] = {}
    reached = set(ends)
    pending = deque(sorted(reached, key=_place))
    while pending:
        function = pending.popleft()
        for caller, edge in callers.get(function, ()):
            if caller not in reached:
                reached.add(caller)
                steps[caller] = edge
                pending.append(caller)
    return steps


def _chain(entry: Function, ends: Mapping[Function, Outward], steps: Mapping[Function, Edge]) -> Chain:
    edges: list[Edge] = []
    function = entry
    while function not in ends:
        edges.append(steps[function])
        function = edges[-1].target
    return Chain(entry, tuple(edges), ends[function])


def _bases(defined: Class) -> list[ast.expr]:
    return [base.value if isinstance(base, ast.Subscript) else base for base in defined.node.bases]


def _has(defined: Class, wanted: Mapping[str, Function]) -> bool:
    """The class has every one of these methods, with parameters of the same names."""
    own = {method.name: method for method in defined.methods}
    return all(name in own and _names(own[name]) == _names(method) for name, method in wanted.items())


def _names(function: Function) -> list[str]:
    return [parameter.arg for parameter, _ in function.parameters]


def is_abstract(function: Function) -> bool:
    """The method has no body of its own: it is there to be overridden."""
    return function.is_empty or function.decorated("abstractmethod")
