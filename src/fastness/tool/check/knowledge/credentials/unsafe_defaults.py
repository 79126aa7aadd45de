"""Values of settings that are refused somewhere else than beside them: by a table of bad defaults, or by who reads them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Project
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function, Scope, constant
from fastness.tool.project.source.walk import walk


def in_table(module: Module, name: str, text: str) -> bool:
    """A function of the file raises for what a table says of this name: `getattr(self, name) in BAD[name]`."""
    if not module.mentions("getattr") or not module.mentions("raise"):
        return False
    return any(name in table and text in table for function in module.functions for table in _walked(function))


def _walked(function: Function) -> Iterator[set[object]]:
    """The texts of each table that a function walks to look at an attribute of each name in it, before it raises."""
    if not function.of(ast.Raise) or not any(site.name == "getattr" for site in function.calls):
        return
    scopes: list[Scope] = [function.module, function, *([function.owner] if function.owner is not None else [])]
    walked = [*(loop.iter for loop in function.of(ast.For)), *(loop.iter for loop in function.of(ast.comprehension))]
    for table in walked:
        names = {node.id for node in walk(table) if isinstance(node, ast.Name)}
        names |= {node.attr for node in walk(table) if isinstance(node, ast.Attribute)}
        for scope in scopes:
            for name in names:
                for binding in scope.bindings.get(name, ()):
                    if binding.value is not None:
                        yield {constant(node) for node in walk(binding.value)}


def is_refused_by_readers(project: Project, name: str) -> bool:
    """Whoever reads an attribute of this name stops when it is empty."""
    readers = [
        function
        for module in project.service
        if module.mentions(name)
        for function in module.functions
        if any(node.attr == name for node in function.of(ast.Attribute))
    ]
    return bool(readers) and all(_refuses(function, name) for function in readers)


def _refuses(function: Function, name: str) -> bool:
    """`if not settings.secret: raise`, or so for the name that it is given."""
    held = {
        one
        for one, bindings in function.bindings.items()
        if any(binding.value is not None and _reads(binding.value, name, set()) for binding in bindings)
    }
    return any(
        isinstance(branch.body[-1], ast.Raise)
        and isinstance(branch.test, ast.UnaryOp)
        and isinstance(branch.test.op, ast.Not)
        and _reads(branch.test.operand, name, held)
        for branch in function.of(ast.If)
    )


def _reads(node: ast.expr, attribute: str, names: set[str]) -> bool:
    return any(
        (isinstance(one, ast.Attribute) and one.attr == attribute) or (isinstance(one, ast.Name) and one.id in names)
        for one in walk(node)
    )
