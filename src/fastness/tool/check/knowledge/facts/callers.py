"""Who else than FastAPI calls a function: FastAPI runs `def` and `async def` alike, whoever awaits a function does not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.project import Project, Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.values import FunctionValue, ModuleValue
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, handed_on, last_name

_GIVEN_TO = {"Depends", "Security", "add_api_route"}


def is_called_by_fastapi_alone(service: Service, function: Function) -> bool:
    """The function is an endpoint or a dependency, and nothing in the project, tests included, calls it or hands it on."""
    routes = [route for route in service.routes if route.handler is function]
    if any(route.is_websocket for route in routes):
        return False
    if not routes and not any(dependency.target is function for route in service.routes for dependency in service.tree(route)):
        return False
    registered = {id(route.call) for route in routes}
    if any(id(decorator) not in registered for decorator in function.decorators):
        return False  # what a decorator makes of it is not known
    if function.owner is not None and function.owner.node.bases:
        return False  # it may implement a method that others await
    return not any(_calls_or_hands_on(service, function, module) for module in service.project.readable)


def supplies(service: Service, function: Function, parameter: str) -> bool:
    """The parameter is wanted, FastAPI fills it, or a caller does; whoever hands the function on may give it what follows."""
    default = next((default for one, default in function.parameters if one.arg == parameter), None)
    optional = isinstance(default, ast.Constant) and default.value is None
    made = function.name == "__init__"  # by calls that have other names
    if made or not optional or any(dependency.parameter == parameter for dependency in service.parameters(function)):
        return True
    place = function.filled.index(parameter)
    return any(
        _supplies(site, function, parameter, place)
        for module in service.project.service
        if module.mentions(function.name)
        for site in module.all_calls
    )


def _supplies(site: CallSite, function: Function, parameter: str, place: int) -> bool:
    given = site.node.args
    if site.name != function.name:
        after = next((number for number, one in enumerate(given, 1) if last_name(one) == function.name), None)
        if after is None:
            return False
        given = given[after:]
    if any(isinstance(one, ast.Starred) for one in given) or any(keyword.arg is None for keyword in site.node.keywords):
        return True
    found = given[place] if place < len(given) else site.argument(parameter)
    return found is not None and not (isinstance(found, ast.Constant) and found.value is None)


def _calls_or_hands_on(service: Service, function: Function, module: Module) -> bool:
    if not module.mentions(function.name):
        return False
    if any(_may_call(service, function, site) for site in module.calls_by_name.get(function.name, ())):
        return True
    allowed = {id(node) for node in _given_to_fastapi(module)}
    return any(id(node) not in allowed and _means(service, function, node, module) for node in ast.walk(module.tree))


def _may_call(service: Service, function: Function, site: CallSite) -> bool:
    targets = service.resolver.targets(site)
    if not targets:
        return isinstance(site.node.func, ast.Name) or function.owner is not None
    return any(isinstance(value, FunctionValue) and value.definition is function for value in targets)


def _given_to_fastapi(module: Module) -> Iterator[ast.AST]:
    for site in module.all_calls:
        if last_name(site.node.func) in _GIVEN_TO:
            yield from handed_on(site.node)
        yield site.node.func  # looked at as a call
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and last_name(node.value) == "dependency_overrides":
            yield node.slice


def _means(service: Service, function: Function, node: ast.AST, module: Module) -> bool:
    if isinstance(node, ast.Name) and node.id == function.name and isinstance(node.ctx, ast.Load):
        values = service.resolver.name(node.id, module)
        return any(isinstance(value, FunctionValue) and value.definition is function for value in values)
    if isinstance(node, ast.Attribute) and node.attr == function.name:
        if function.owner is not None:
            return True
        values = service.resolver.infer(node.value, module)
        return any(isinstance(value, ModuleValue) and value.module is function.module for value in values)
    return False


_OUTERMOST = re.compile(r"^(class|(?:async[ \t]+)?def[ \t]+(\w+))", re.MULTILINE)
_HOOKS = re.compile(r"__\w+__|on_\w+|(?:pre|post)_\w+|\w+_exit|when_ready|main|lifespan")  # servers call these by their names


def is_unused(project: Project, name: str) -> bool:
    """Nothing that runs in production mentions a function of this name but its own definition, so that nobody calls it."""
    known = _unused(project)
    if name not in known:
        known[name] = not _HOOKS.fullmatch(name) and _mentions(project, name) < 2
    return known[name]


@known_once
def _unused(_: Project) -> dict[str, bool]:
    """What was found out of the names that somebody has asked about."""
    return {}


def _mentions(project: Project, name: str) -> int:
    """How often a name is mentioned; two is enough."""
    word, count = re.compile(rf"\b{name}\b"), 0
    for module in project.modules.values():
        if name in module.text and not module.is_test:
            count += len(word.findall(module.text))
            if count > 1:
                break
    return count


def is_in_unused(project: Project, module: Module, position: int) -> bool:
    """This place of a file's text is in a function of the module that nobody calls."""
    text = module.text
    line = text.rfind("\n", 0, position) + 1
    begins = list(_OUTERMOST.finditer(text, 0, line)) if text[line].isspace() else []
    if not begins or begins[-1][2] is None:
        return False  # of the module itself, or in a class
    before = text[: begins[-1].start()].rstrip("\n").rpartition("\n")[2]
    return not before.startswith(("@", ")")) and is_unused(project, begins[-1][2])  # a decorator may have it called
