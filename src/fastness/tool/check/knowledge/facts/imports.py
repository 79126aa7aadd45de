"""Which modules of the project import which when they are imported themselves, and which calls that makes them make."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from weakref import proxy

from fastness.tool.check.rule import module_of
from fastness.tool.project import Project, Service
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement and the module of the project that it loads.

    Attributes:
        position: among the imports of the importer.
        late: inside a function: it runs when that does.
    """

    importer: Module
    imported: Module
    position: int
    member: str | None
    late: bool

    @property
    def node(self) -> ast.Import | ast.ImportFrom:
        """The statement."""
        return self.importer.imports[self.position][2]


class Graph(Mapping[Module, list[Import]]):
    """Every module with what it imports from the project. A module is read when it is asked for."""

    def __init__(self, project: Project) -> None:
        self._project = proxy(project)  # which keeps the graph, and is not kept by it
        self._known: dict[Module, list[Import]] = {}

    def __getitem__(self, module: Module) -> list[Import]:
        known = self._known.get(module)
        if known is None:
            if not self._project.reads(module):
                raise KeyError(module)
            known = self._known[module] = list(_of(self._project, module))
        return known

    def __iter__(self) -> Iterator[Module]:
        return iter(self._project.readable)

    def __len__(self) -> int:
        return len(self._project.readable)


@known_once
def graph(project: Project) -> Graph:
    """Which module imports which."""
    return Graph(project)


def _of(project: Project, module: Module) -> Iterable[Import]:
    for position, (name, member, type_checking, late) in enumerate(module.imported):
        if type_checking:
            continue
        submodule = project.find(f"{name}.{member}", module) if member and member != "*" else None
        found = submodule if submodule is not None else project.find(name, module)
        if found is not None and found is not module:
            yield Import(module, found, position, None if submodule is not None else member, late)


def loaded_by(project: Project, roots: Iterable[Module]) -> set[Module]:
    """What importing these modules imports, themselves included."""
    edges = graph(project)
    seen = set(roots)
    pending = list(seen)
    while pending:
        for edge in edges.get(pending.pop(), ()):
            if not edge.late and edge.imported not in seen:
                seen.add(edge.imported)
                pending.append(edge.imported)
    return seen


def is_imported(project: Project, module: Module) -> bool:
    """Another module of the service imports this one, whenever that is."""
    word, edges = module.name.rpartition(".")[2], graph(project)
    asked = (other for other in project.service if other is not module and other.mentions(word))
    return any(edge.imported is module for other in asked for edge in edges.get(other, ()))


@dataclass(slots=True)
class Made:
    """A call that importing a file makes: the functions of the project that it runs, and what it calls of libraries."""

    site: CallSite
    targets: list[Function] = field(default_factory=list)
    outward: list[Outward] = field(default_factory=list)


@known_once
def made_by_importing(service: Service) -> list[Made]:
    """The calls that importing the apps and the files of their endpoints makes, in the order of files and lines."""
    serving = {*(route.handler.module for route in service.routes), *(module_of(app.scope) for app in service.apps)}
    modules = sorted(loaded_by(service.project, serving), key=lambda module: module.path)
    return [made for module in modules if module.is_service for made in _made_by(service, module)]


def _made_by(service: Service, module: Module) -> list[Made]:
    found: dict[int, Made] = {}
    for edge in service.graph.edges(module):
        if not edge.handed:
            found.setdefault(edge.site.number, Made(edge.site)).targets.append(edge.target)
    for call in service.graph.outward(module):
        found.setdefault(call.site.number, Made(call.site)).outward.append(call)
    return [made for _, made in sorted(found.items())]
