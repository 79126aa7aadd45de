"""Who calls whom: the edges that running a function takes, and the shortest chain from it to a call of interest.

What only mentions a function does not call it, so work that is handed to a thread ends a chain by itself; `in_threads` has it.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

from fastness.tool.project.flow.feasible import NOTHING, Branches
from fastness.tool.project.flow.wrappers import THREADS, Wrappers, handed_to_thread
from fastness.tool.project.kept.notes import Note, Notes
from fastness.tool.project.kept.reading import EVERYTHING
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, last_name

_MANY = 12  # implementations of one abstract method or protocol; beyond, the chain says nothing about the call


@dataclass(frozen=True, slots=True)
class Edge:
    """One call from one function of the project to another.

    Attributes:
        handed: the function that is called here is given the target and calls it.
        never: the numbers of the calls that the target does not make when it is called here.
    """

    site: CallSite
    target: Function
    handed: bool = False
    never: frozenset[int] = NOTHING


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


class _Calls(NamedTuple):
    """What running a function calls, with the modules that were looked into to tell."""

    edges: list[Edge]
    outward: list[Outward]
    mask: int


Caller: TypeAlias = Module | Function
# A function with the numbers of the calls in it that it does not make when it is called as it was.
_Run: TypeAlias = tuple[Function, frozenset[int]]
_CALLS, _THREADS = "calls", "calls in threads"  # as they are asked about


class CallGraph:
    """The calls of one project, resolved when asked for."""

    def __init__(self, resolver: Resolver, notes: Notes) -> None:
        self.resolver = resolver
        self._notes = notes
        self._reading = resolver.project.reading
        self._calls: dict[Caller, _Calls] = {}
        self._threads: dict[Function, _Calls] = {}
        self._wrappers = Wrappers(resolver)
        self._branches = Branches(self._reading)

    def edges(self, scope: Caller) -> list[Edge]:
        """The functions of the project that running a function runs, or importing a file."""
        return self._of(scope).edges

    def outward(self, scope: Caller) -> list[Outward]:
        """The calls to libraries that running a function makes itself, or importing a file."""
        return self._of(scope).outward

    def in_threads(self, function: Function) -> tuple[list[Edge], list[Outward]]:
        """The calls that this function has threads make: of `to_thread(send, mail)` what `send(mail)` would be."""
        known = self._threads.get(function)
        if known is None:
            search = partial(self._notes.search, _THREADS, function, partial(self._had_made_by_threads, function))
            made, mask = self._reading.apart(function, search)
            edges, outward = [e for e in made if isinstance(e, Edge)], [o for o in made if isinstance(o, Outward)]
            known = self._threads[function] = _Calls(edges, outward, mask)
        self._reading.mask |= known.mask
        return known.edges, known.outward

    def _had_made_by_threads(self, function: Function) -> list[Edge | Outward]:
        edges: list[Edge] = []
        outward: list[Outward] = []
        for site in function.calls:
            handed = handed_to_thread(self.resolver, site) if site.name in THREADS else ()
            if handed:
                made = ast.copy_location(ast.Call(handed[0], handed[1:], site.node.keywords), site.node)
                self._resolve(replace(site, node=made), edges, outward)
        for edge in self.edges(function):
            for site in self._wrappers.runs(edge.site, edge.target, threaded=True) if not edge.handed else ():
                self._resolve(site, edges, outward, handed=True)
        return [*edges, *outward]

    def run_by(self, wrapper: Function, site: CallSite) -> list[Function]:
        """The functions that a function runs, itself or in a thread, because this call of it gives them."""
        found: list[Edge] = []
        for threaded in (False, True):
            for made in self._wrappers.runs(site, wrapper, threaded=threaded):
                self._resolve(made, found, [], handed=True)
        return [edge.target for edge in found]

    def nearest(
        self,
        entries: Iterable[Function],
        classify: Callable[[Outward], str | None],
        *,
        through: Callable[[Edge], bool] = lambda _: True,
    ) -> dict[Function, dict[str, Chain]]:
        """For each entry the shortest chain to a call of each class that it reaches.

        The whole part of the graph that the entries reach is walked once, forwards for its edges and backwards from the
        calls, whatever the number of entries. Chains come in the order of their entries' places. A branch that is not taken
        with the literals of a call is on no chain through it.

        Args:
            classify: the class of a call, None for one that is of no interest.
            through: whether a chain may go on over an edge.
        """
        entries = sorted(set(entries), key=_place)
        callers: dict[_Run, list[tuple[_Run, Edge]]] = {}
        direct: dict[str, dict[_Run, Outward]] = {}
        starts = [(entry, NOTHING) for entry in entries]
        seen, pending = set(starts), deque(starts)
        while pending:
            run = function, never = pending.popleft()
            for call in self.outward(function):
                kind = classify(call) if call.site.number not in never else None
                if kind is not None:
                    direct.setdefault(kind, {}).setdefault(run, call)
            for edge in self.edges(function):
                if edge.site.number not in never and through(edge):
                    reached = edge.target, edge.never
                    callers.setdefault(reached, []).append((run, edge))
                    if reached not in seen:
                        seen.add(reached)
                        pending.append(reached)
        found: dict[Function, dict[str, Chain]] = {}
        for kind, ends in direct.items():
            steps = _steps(ends, callers)
            for start in starts:
                if start in ends or start in steps:
                    found.setdefault(start[0], {})[kind] = _chain(start, ends, steps)
        return found

    def _of(self, scope: Caller) -> _Calls:
        known = self._calls.get(scope)
        if known is None:
            known = self._calls[scope] = self._recalled(scope) or self._followed(scope)
        self._reading.mask |= known.mask
        return known

    def _followed(self, scope: Caller) -> _Calls:
        (edges, outward), mask = self._reading.apart(scope, partial(self._follow, scope))
        if not any(edge.handed for edge in edges):
            self._notes.keep(_CALLS, scope, Note(_written(edges, outward), mask))
        return _Calls(edges, outward, mask)

    def _follow(self, scope: Caller) -> tuple[list[Edge], list[Outward]]:
        edges: list[Edge] = []
        outward: list[Outward] = []
        for site in scope.calls:
            if not (site.deferred or (isinstance(scope, Module) and scope.only_as_script(site.node))):
                self._resolve(site, edges, outward)
        edges = [replace(edge, never=self._branches.never(edge.site, edge.target)) for edge in edges]
        for edge in tuple(edges):
            self._reading.mask |= edge.target.module.bit
            for site in self._wrappers.runs(edge.site, edge.target, threaded=False):
                self._resolve(site, edges, outward, handed=True)
        return edges, outward

    def _recalled(self, scope: Caller) -> _Calls | None:
        """What was noted, without reading the file."""
        note = self._notes.recall(_CALLS, scope)
        if note is None:
            return None
        module, begin = (scope, 0) if isinstance(scope, Module) else (scope.module, scope.line)
        called, outward = note.value
        edges = []
        for number, line, awaited, looped, path, label, never in called:
            target = self.resolver.project.function(path, label)
            if target is None:
                return None
            site = module.call(scope, number, begin + line, awaited, looped)
            edges.append(Edge(site, target, never=frozenset(never)))
        sites = [(module.call(scope, number, begin + line, *how), path) for number, line, *how, path in outward]
        return _Calls(edges, [Outward(site, External(path)) for site, path in sites], note.mask)

    def _resolve(self, site: CallSite, edges: list[Edge], outward: list[Outward], *, handed: bool = False) -> None:
        targets = self.resolver.targets(site)
        # `handlers[name](...)`: which function of a table it is, only the key says.
        if isinstance(site.node.func, ast.Subscript) and sum(isinstance(value, FunctionValue) for value in targets) > 1:
            targets = tuple(value for value in targets if not isinstance(value, FunctionValue))
        for value in targets:
            if isinstance(value, External):
                outward.append(Outward(site, value))
            elif isinstance(value, FunctionValue):
                answering = self.answering(value)
                edges += [
                    Edge(site, target, handed) for target in answering if target.is_async or not (handed and site.awaited)
                ]
            elif isinstance(value, ClassValue):
                made = self.resolver.method(value.definition, "__init__")
                edges += [Edge(site, made, handed)] if made else []
            elif isinstance(value, Instance):
                called = self.resolver.method(value.definition, "__call__")
                edges += [Edge(site, called, handed)] if called else []

    def answering(self, value: FunctionValue) -> list[Function]:
        """The methods that may answer: of an abstract one those of subclasses, of a protocol's those of what has its form."""
        function = value.definition
        if function.owner is None or not is_abstract(function):
            return [function]
        # A protocol that extends another may have nobody that answers to all of it.
        for owner in dict.fromkeys((value.receiver or function.owner, function.owner)):
            found = self.resolver.overriding(owner, function.name)
            found += [self.resolver.method(one, function.name) for one in self._of_form(owner)]
            answering = {method for method in found if method is not None and not is_abstract(method)}
            if 0 < len(answering) <= _MANY:
                return sorted(answering, key=_place)
        return [function]

    def _of_form(self, owner: Class) -> Sequence[Class]:
        """The classes that have the form of a protocol, without inheriting from it."""
        if not any(last_name(base) == "Protocol" for base in _bases(owner)):
            return ()
        self._reading.mask |= EVERYTHING
        return self._forms.get(owner, ())

    @cached_property
    def _forms(self) -> dict[Class, list[Class]]:
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


def _written(edges: Iterable[Edge], outward: Iterable[Outward]) -> list[Any]:
    """What `_recalled` reads."""
    return [
        [[*_site(edge.site), *edge.target.label, sorted(edge.never)] for edge in edges],
        [[*_site(call.site), call.target.path] for call in outward],
    ]


def _site(site: CallSite) -> tuple[int, int, bool, bool]:
    begin = site.scope.line if isinstance(site.scope, Function) else 0
    return site.number, site.line - begin, site.awaited, site.looped


def _place(function: Function) -> tuple[str, int]:
    """The order in which ways are looked for, so that of two that are equally short every run takes the same."""
    return function.module.path, function.line


def _steps(ends: Iterable[_Run], callers: Mapping[_Run, list[tuple[_Run, Edge]]]) -> dict[_Run, tuple[Edge, _Run]]:
    """The first edge of the shortest way from each function to one of the ends, and where it leads."""
    steps: dict[_Run, tuple[Edge, _Run]] = {}
    reached = set(ends)
    pending = deque(sorted(ends, key=lambda run: _place(run[0])))
    while pending:
        run = pending.popleft()
        for caller, edge in callers.get(run, ()):
            if caller not in reached:
                reached.add(caller)
                steps[caller] = edge, run
                pending.append(caller)
    return steps


def _chain(start: _Run, ends: Mapping[_Run, Outward], steps: Mapping[_Run, tuple[Edge, _Run]]) -> Chain:
    edges: list[Edge] = []
    run = start
    while run not in ends:
        edge, run = steps[run]
        edges.append(edge)
    return Chain(start[0], tuple(edges), ends[run])


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
