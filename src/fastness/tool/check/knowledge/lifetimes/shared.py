"""What a function sets that outlives its request: names of modules, and attributes of what all requests share."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.lifetimes.containers import SETTING, is_harmless, is_in
from fastness.tool.check.knowledge.running.loop import missing
from fastness.tool.project import Service
from fastness.tool.project.names.hierarchy import FORMS
from fastness.tool.project.names.values import ClassValue, External, Instance, ModuleValue
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, Kind, last_name
from fastness.tool.project.source.walk import mentions, walk


def sets(service: Service, function: Function) -> dict[str, ast.AST]:
    """What a function gives to names of modules, and to attributes of what modules hold, of what it is given itself."""
    targets = [
        (node, target)
        for node in function.of(*SETTING)
        if isinstance(node, SETTING)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if is_outside(function, target) and not is_harmless(last_name(target))
    ]
    own = of_the_request(function) if targets else set()
    places: dict[str, ast.AST] = {}
    for node, target in sorted(targets, key=lambda one: one[0].lineno):
        given = isinstance(node, ast.AugAssign) or mentions(node.value, own)
        lasting = given and (isinstance(target, ast.Name) or is_shared(service, function, target))
        if lasting and not is_first(function, node, target):
            places.setdefault(ast.unparse(target), node)
    return places


def of_process(service: Service, function: Function) -> Iterator[tuple[str, ast.AST]]:
    """What a function changes of its process: where imports look, the directory, or the environment by what it is given."""
    for site in function.calls:
        if site.name in _PROCESS and service.resolver.calls(site, *_PROCESS[site.name]):
            called = ast.unparse(site.node.func)
            path = called.rpartition(".")[0]
            if site.name == "chdir":
                if not _goes_back(service, function):
                    yield "the working directory", site.node
            elif not any(ast.unparse(one.comparators[-1]) == path for one in function.of(ast.Compare)):
                yield path, site.node
    for node in function.of(ast.Assign) if function.module.mentions("environ") else ():
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and "os.environ" in service.resolver.paths(target.value, function):
            given = of_the_request(function)
            if mentions(node.value, given):
                yield ast.unparse(target), node


def _goes_back(service: Service, function: Function) -> bool:
    """Where it was is asked before, to be there again afterwards."""
    return any(site.name == "getcwd" and service.resolver.calls(site, "os.getcwd") for site in function.calls)


_PROCESS = {"insert": ("sys.path.insert",), "append": ("sys.path.append",), "chdir": ("os.chdir",)}


def is_outside(function: Function, target: ast.expr) -> bool:
    """A name that is declared global, or an attribute of one that the function does not bind."""
    if isinstance(target, ast.Name):
        return target.id in function.globals
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id not in function.bindings


def of_the_request(function: Function, without: str = "") -> set[str]:
    """The parameters of a function, and the names that it makes of them. `without` is none: the object, for its methods."""
    names = {parameter.arg for parameter, _ in function.parameters} - {"cls", without}
    made = [
        (name, {node.id for node in walk(binding.value) if isinstance(node, ast.Name)})
        for name, bindings in function.bindings.items()
        for binding in bindings
        if binding.value is not None
    ]
    for _ in range(3):
        names |= {name for name, of in made if not names.isdisjoint(of)}
    return names


def is_first(function: Function, node: ast.Assign | ast.AugAssign, target: ast.expr) -> bool:
    """It is made where there is none yet, `if client is None: client = make()`, or by who gives it to everybody."""
    if isinstance(target, ast.Name) and any(mentions(one, {target.id}) for one in function.of(ast.Return)):
        return True
    for outer in function.of(ast.If):
        if isinstance(outer.body[-1], ast.Return) and ast.unparse(target) in ast.unparse(outer.test):
            return True
        if outer.lineno < node.lineno and _is_made_already(function, outer):
            return True
        if is_in(node, outer):
            # `if expires < now: token, expires = ...` makes it anew for everybody
            asked = isinstance(target, ast.Name) and isinstance(node, ast.Assign)
            if any(missing(outer.test)) or (asked and mentions(outer.test, {last_name(target)})):
                return True
    return False


def _is_made_already(function: Function, branch: ast.If) -> bool:
    """`if client is not None: return client`: what follows makes it, and what belongs to it, for everybody."""
    last = branch.body[-1]
    given = last.value if isinstance(last, ast.Return) else None
    return isinstance(given, ast.Name) and given.id in function.globals and mentions(branch.test, {given.id})


def is_shared(service: Service, function: Function, target: ast.expr) -> bool:
    """An attribute of a library, or of an object or a class of the project that a module holds."""
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return False
    held = service.resolver.binding(target.value.id, function)
    if held is None or not isinstance(held[1], Module):
        return False
    for value in service.resolver.name(target.value.id, function):
        if isinstance(value, ModuleValue):
            return target.attr in value.module.bindings
        if isinstance(value, External) and held[0][-1].kind is Kind.IMPORT and held[0][-1].member is None:
            return value.path == held[0][-1].module
        if isinstance(value, Instance | ClassValue) and value.definition is not function.owner:
            bases = service.resolver.mro(value.definition)
            plain = all(isinstance(base, Class) or base.path in FORMS for base in bases)
            return plain and not any(service.resolver.method(value.definition, name) for name in (target.attr, "__setattr__"))
    return False
