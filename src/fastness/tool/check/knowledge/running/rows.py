"""Loops over rows that read a relationship: a query for each, where the one before the loop does not load it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import entities, relationships
from fastness.tool.check.knowledge.facts.iteration import LOOPS, Loop, body, generators
from fastness.tool.check.knowledge.facts.reach import near
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Binding, Class, Function
from fastness.tool.project.source.walk import walk


def read(service: Service, function: Function) -> Iterator[tuple[Loop, ast.Attribute, Class, Binding]]:
    """Of each loop the first such read, with where the relationship is declared: `for order in orders: order.customer.name`."""
    loops = sorted((node for node in function.of(*LOOPS) if isinstance(node, Loop)), key=lambda node: node.lineno)
    names = set(relationships.named(service).split()) if loops else set[str]()
    told: set[str] = set()  # once read, it is there
    for loop in loops if names else ():
        over = generators(loop)[0]
        reads = _reads(loop, over.target.id, names) if isinstance(over.target, ast.Name) else {}
        entity = relationships.of_rows(service, over.iter, function) if reads else None
        for name, base, binding in relationships.lazy(service, entity, reads) if entity is not None else ():
            if name not in told and not _is_loaded(service, function, over.iter, name):
                told.add(name)
                yield loop, reads[name], base, binding
                break


def _reads(loop: Loop, row: str, names: set[str]) -> dict[str, ast.Attribute]:
    """What a loop reads of its row that has one of these names."""
    nodes = (node for part in body(loop) for node in walk(part) if isinstance(node, ast.Attribute) and node.attr in names)
    return {
        node.attr: node
        for node in nodes
        if isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name) and node.value.id == row
    }


def _is_loaded(service: Service, function: Function, rows: ast.expr, name: str) -> bool:
    """The query loads the relationship, or one that another function has made, as of rows that it was given, may do so."""
    if entities.queried(service, rows, function) is None:
        return name in relationships.loaded_somewhere(service)
    callers = near(service, function)
    for one in callers:
        service.reading.body(one)
    sites = [site for one in callers for site in one.calls]
    known = relationships.loaded(sites) | relationships.loaded_everywhere(service)
    return name in known or relationships.is_loaded_otherwise(sites)
