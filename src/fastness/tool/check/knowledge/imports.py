"""Which modules of the project import which, when they are imported themselves. Type-checking and late imports are left out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary, proxy

from fastness.tool.project import Project
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Function


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement and the module of the project that it loads.

    Attributes:
        late: inside a function: it runs when that does.
    """

    importer: Module
    imported: Module
    node: ast.Import | ast.ImportFrom
    member: str | None
    late: bool


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


_KNOWN: WeakKeyDictionary[Project, Graph] = WeakKeyDictionary()


def graph(project: Project) -> Graph:
    """Which module imports which."""
    known = _KNOWN.get(project)
    if known is None:
        known = _KNOWN[project] = Graph(project)
    return known


def _of(project: Project, module: Module) -> Iterable[Import]:
    for name, member, node, scope, type_checking in module.imports:
        if type_checking:
            continue
        submodule = project.find(f"{name}.{member}", module) if member and member != "*" else None
        found = submodule if submodule is not None else project.find(name, module)
        if found is not None and found is not module:
            yield Import(module, found, node, None if submodule is not None else member, isinstance(scope, Function))


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
