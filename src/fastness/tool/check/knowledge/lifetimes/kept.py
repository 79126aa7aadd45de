"""Results of start-up that an app keeps for its requests, and whether anybody asks if there is one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.source.symbols import CallSite, Function, constant
from fastness.tool.project.source.walk import walk


def is_never_asked_for(service: Service, site: CallSite) -> bool:
    """What a call gives is put into `app.state`, is used from there, and nobody looks whether it is None."""
    if not isinstance(site.scope, Function):
        return False
    name = next(_kept_as(site.scope, site.node), None)
    if name is None:
        return False
    readers = [
        function
        for module in service.project.service
        if module.mentions(name)
        for function in module.functions
        if any(_is_state(node, name) and isinstance(node.ctx, ast.Load) for node in function.of(ast.Attribute))
        or any(site.name == "getattr" and any(constant(one) == name for one in site.node.args) for site in function.calls)
    ]
    return bool(readers) and not any(_asks(function, name) for function in (*readers, site.scope))


def _kept_as(function: Function, call: ast.Call) -> Iterator[str]:
    """The attribute of a state that the result of a call becomes, at once or under a name first."""
    given: set[ast.AST] = {call}
    for node in function.of(ast.Assign):
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if value in given or (isinstance(value, ast.Name) and any(value.id == getattr(one, "id", None) for one in given)):
            given.update(target for target in node.targets if isinstance(target, ast.Name))
            yield from (target.attr for target in node.targets if isinstance(target, ast.Attribute) and _is_state(target))


def _is_state(node: ast.Attribute, name: str = "") -> bool:
    holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    return holder == "state" and name in {"", node.attr}


def _asks(function: Function, name: str) -> bool:
    """A condition looks at the attribute or at a name that it is given, or it is asked for with a default; or callers may ask.

    A function that says that it returns one, and not that it may return None, says that nobody has to.
    """
    if any(site.name == "getattr" and any(constant(one) == name for one in site.node.args) for site in function.calls):
        return True
    held = {
        one
        for one, bindings in function.bindings.items()
        if any(binding.value is not None and _mentions(binding.value, name, set()) for binding in bindings)
    }
    promised = ast.unparse(function.node.returns) if function.node.returns is not None else "None"
    if "None" in promised or "Optional" in promised or "Any" in promised:
        given = [*(node.value for node in function.of(ast.Return)), *(node.value for node in function.of(ast.Yield))]
        if any(value is not None and _is(value, name, held) for value in given):
            return True
    tests = [node.test for node in function.of(ast.If)] + [node.test for node in function.of(ast.IfExp)]
    tests += [node.test for node in function.of(ast.Assert)]
    tests += [value for node in function.of(ast.BoolOp) for value in node.values]
    return any(_mentions(test, name, held) for test in tests)


def _mentions(node: ast.expr, name: str, held: set[str]) -> bool:
    return any(isinstance(one, ast.expr) and _is(one, name, held) for one in walk(node))


def _is(node: ast.expr, name: str, held: set[str]) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == name) or (isinstance(node, ast.Name) and node.id in held)
