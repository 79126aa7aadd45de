"""Locks of `asyncio` and `threading`: the names under which a module has them, and where it asks whether one is held."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function
from fastness.tool.project.source.walk import walk

_LOCKS = frozenset({"asyncio.Lock", "threading.Lock"})


def asked(service: Service, module: Module, reached: set[Function]) -> tuple[list[CallSite], list[ast.AST]]:
    """The calls of `locked()` in these functions, and the locks of this module."""
    sites = [site for site in module.calls_by_name.get("locked", ()) if site.scope in reached]
    locks = dict(_locks(service, module)) if sites else {}
    asking = [
        site
        for site in sites
        if service.resolver.calls(site, *(f"{lock}().locked" for lock in _LOCKS)) or _names(site) & locks.keys()
    ]
    return asking, list(locks.values())


def _locks(service: Service, module: Module) -> Iterator[tuple[str, ast.AST]]:
    """The names under which a module has locks of `asyncio` or `threading`, or tables of such."""
    for name, bindings in module.bindings.items():
        for binding in bindings:
            given = (one for one in (binding.annotation, binding.value) if one is not None)
            kinds = (node for one in given for node in walk(one) if isinstance(node, ast.Name | ast.Attribute))
            if any(service.resolver.paths(node, module) & _LOCKS for node in kinds):
                yield name, binding.node


def _names(site: CallSite) -> set[str]:
    """The names of what is asked, and of what its names were given here: `table` too after `lock = table[key]`."""
    names = {node.id for node in walk(site.node.func) if isinstance(node, ast.Name)}
    given = [binding.value for name in names for binding in site.scope.bindings.get(name, ()) if binding.value is not None]
    return names | {node.id for value in given for node in walk(value) if isinstance(node, ast.Name)}
