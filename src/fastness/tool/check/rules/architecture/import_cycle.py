"""Modules import each other.

Which of them is complete when the other reads it depends on which was imported first: a new import elsewhere, or a test that
starts in the middle, and the service does not start. None of the modules can be understood or tested alone.

Move what both need into a third module below them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from fastness.tool.check.knowledge.facts.imports import Import, graph
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project
from fastness.tool.project.source.module import Module

_MOST = 10  # cycles shown of one knot


@rule(severity=Severity.WARNING, practice="1.5", help="move what both need into a module below them")
def check(project: Project) -> Iterator[Found]:
    imports = graph(project)
    edges = {
        module: [edge for edge in imports[module] if not edge.late and not edge.imported.is_test]
        for module in imports
        if not module.is_test
    }
    covered: set[Module] = set()
    shown: dict[str, int] = {}
    packages: dict[Module, list[Found]] = {}
    for module in sorted(edges, key=lambda module: module.path):
        if module in covered:
            continue
        cycle = _shortest(module, edges)
        if cycle:
            inward = next((edge for edge in cycle if _is_inside(edge.importer, edge.imported)), None)
            if inward is not None:
                if inward.importer not in covered:
                    covered.add(inward.importer)
                    first = cycle.index(inward)
                    packages.setdefault(inward.imported, []).append(_fault([*cycle[first:], *cycle[:first]]))
                continue
            knot = min(edge.importer.path for edge in cycle)
            shown[knot] = shown.get(knot, 0) + 1
            covered.update(edge.importer for edge in cycle)
            if shown[knot] <= _MOST:
                yield _fault(cycle)
    for through in packages.values():
        evidence = [one for other in through[1:] for one in other.evidence[:1]]
        yield replace(through[0], evidence=(*through[0].evidence, *evidence), count=len(through))


def _is_inside(module: Module, package: Module) -> bool:
    """A module that imports from the package that it is in: all that do so have their cycles from the package's own imports."""
    path = PurePosixPath(package.path)
    return path.name == "__init__.py" and path.parent in PurePosixPath(module.path).parents and module is not package


def _shortest(start: Module, edges: Mapping[Module, Sequence[Import]]) -> list[Import]:
    """The shortest way from a module back to itself."""
    came_by: dict[Module, Import] = {}
    pending = deque([start])
    while pending:
        for edge in edges.get(pending[0], ()):
            if edge.imported is start:
                way = [edge]
                while way[0].importer is not start:
                    way.insert(0, came_by[way[0].importer])
                return way
            if edge.imported not in came_by:
                came_by[edge.imported] = edge
                pending.append(edge.imported)
        pending.popleft()
    return []


def _fault(cycle: Sequence[Import]) -> Found:
    names = [edge.importer.name or edge.importer.path for edge in cycle]
    evidence = [proof(edge.importer, edge.node, f"imports {edge.imported.name}") for edge in cycle]
    return found(cycle[0].importer, cycle[0].node, f"import cycle: {' -> '.join([*names, names[0]])}", *evidence)


EXAMPLES = [
    Bad("""
        # file: app/exchange/__init__.py
        from app.exchange.base import Base
        from app.exchange.first import First
        from app.exchange.second import Second
        # file: app/exchange/base.py
        class Base: ...
        # file: app/exchange/first.py
        from app.exchange import Base  # found

        class First(Base): ...
        # file: app/exchange/second.py
        from app.exchange import Base

        class Second(Base): ...
    """),
    Bad("""
        # file: app/a.py
        from app.b import g  # found

        def f(): ...
        # file: app/b.py
        from app import a

        def g(): ...
    """),
    Good("""
        # file: app/a.py
        from typing import TYPE_CHECKING

        import logfire

        if TYPE_CHECKING:
            from app.b import g

        def f(): ...
        # file: app/b.py
        from app import a

        def g():
            from app import c
        # file: app/c.py
        from app import b
        # file: app/logfire.py
        from app import a
        # file: app/__init__.py
        from app import a
    """),
    Good(
        """
        # file: app/models/__init__.py
        from app.models.order import Order
        from app.models.user import User
        # file: app/models/user.py
        class User: ...
        # file: app/models/order.py
        from app.models.user import User

        class Order:
            buyer: User
    """,
        "a package that re-exports its modules, which import each other by their own names, is loaded in one direction",
    ),
    Good(
        """
        # file: app/users.py
        import typing as t

        if t.TYPE_CHECKING:
            from app import orders

        def recent(user: "orders.Order"): ...
        # file: app/orders.py
        from app import users

        class Order:
            def buyers(self):
                from app.reports import table

                return table(users.recent(self))
        # file: app/reports.py
        from app.orders import Order

        def table(rows): ...
    """,
        "both directions are for the type checker, or wait for the first call",
    ),
]
