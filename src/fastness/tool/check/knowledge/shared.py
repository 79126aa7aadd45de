"""What a function sets that outlives its request: names of modules, and attributes of what all requests share."""

from __future__ import annotations

import ast

from fastness.tool.check.knowledge.loop import missing
from fastness.tool.project import Service
from fastness.tool.project.hierarchy import FORMS
from fastness.tool.project.module import Module
from fastness.tool.project.resolve import own_nodes
from fastness.tool.project.symbols import Class, Function, Kind, last_name
from fastness.tool.project.values import ClassValue, External, Instance
from fastness.tool.project.walk import walk


def is_outside(function: Function, target: ast.expr) -> bool:
    """A name that is declared global, or an attribute of one that the function does not bind."""
    if isinstance(target, ast.Name):
        return target.id in function.globals
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id not in function.bindings


def of_the_request(function: Function) -> set[str]:
    """The parameters of a function, and the names that it makes of them."""
    names = {parameter.arg for parameter, _ in function.parameters} - {"cls"}
    for _ in range(3):
        names |= {
            name
            for name, bindings in function.bindings.items()
            for binding in bindings
            if binding.value is not None and any(isinstance(n, ast.Name) and n.id in names for n in walk(binding.value))
        }
    return names


def is_first(function: Function, node: ast.Assign | ast.AugAssign, target: ast.expr) -> bool:
    """It is made where there is none yet, `if client is None: client = make()`, or by who gives it to everybody."""
    if isinstance(target, ast.Name) and any(
        isinstance(n, ast.Name) and n.id == target.id for one in own_nodes(function, ast.Return) for n in walk(one)
    ):
        return True
    for outer in own_nodes(function, ast.If):
        if isinstance(outer.body[-1], ast.Return) and ast.unparse(target) in ast.unparse(outer.test):
            return True
        if any(inner is node for statement in outer.body for inner in walk(statement)):
            # `if expires < now: token, expires = ...` makes it anew for everybody
            asked = isinstance(target, ast.Name) and isinstance(node, ast.Assign)
            if any(missing(outer.test)) or (
                asked and any(isinstance(n, ast.Name) and n.id == last_name(target) for n in walk(outer.test))
            ):
                return True
    return False


def is_shared(service: Service, function: Function, target: ast.expr) -> bool:
    """An attribute of a library, or of an object or a class of the project that a module holds."""
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return False
    held = service.resolver.binding(target.value.id, function)
    if held is None or not isinstance(held[1], Module):
        return False
    for value in service.resolver.name(target.value.id, function):
        if isinstance(value, External) and held[0][-1].kind is Kind.IMPORT and held[0][-1].member is None:
            return value.path == held[0][-1].module
        if isinstance(value, Instance | ClassValue) and value.definition is not function.owner:
            bases = service.resolver.mro(value.definition)
            plain = all(isinstance(base, Class) or base.path in FORMS for base in bases)
            return plain and not any(service.resolver.method(value.definition, name) for name in (target.attr, "__setattr__"))
    return False
