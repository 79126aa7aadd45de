"""What a request puts into attributes of objects that outlive it: `self.tenant = tenant` in a method of what a module holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from fastness.tool.check.knowledge.lifetimes import lasting, shared
from fastness.tool.check.knowledge.lifetimes.containers import GROWS, SETTING, SHRINKS, is_collection, is_harmless, whole
from fastness.tool.project import Service
from fastness.tool.project.names.values import FunctionValue
from fastness.tool.project.source.symbols import CallSite, Class, Function, Kind, handed_on
from fastness.tool.project.source.walk import mentions, own, walk

_BEGINS = re.compile(
    r"_*(?:set|load|start|stop|open|close|connect|disconnect|init|initiali[sz]e|setup|configure|reload|refresh|attach|bind|reset"
    r"|shutdown|register|subscribe|enable|disable|warm|prepare|update|transition|record|mark)(?:_|$)"
)
_OF_ONE = re.compile(
    r"(?:^|_)(?:user|tenant|lang|language|locale|mode|current|request|session|account|customer|organi[sz]ation|org|role|token"
    r"|workspace|project)(?:_id|_name|$)"
)
_OF_ALL = re.compile(
    r"(?:^|_)(?:last|latest|state|status|error|exception|failures?|counts?|stats|metrics|health|level|version|config|options"
    r"|expires?|expiry|updated|loop)(?:_|$)"
)


@dataclass(frozen=True, slots=True)
class Put:
    """A place where something of one request is kept on an object that others see.

    Attributes:
        grows: put into a collection that nothing is taken out of.
        made: where the object is made, when that is one call.
    """

    node: ast.AST
    what: str
    grows: bool
    made: CallSite | None


def puts(service: Service, function: Function) -> Iterator[Put]:
    """What a function sets, or puts into collections, of objects that outlive the request."""
    if function.name.startswith("__") and function.name != "__call__":
        return
    itself = self_name(function)
    targets = [
        (node, target)
        for node in function.of(ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and not is_harmless(target.attr)
    ]
    added = list(_added(function, itself)) if itself else []
    if not targets and not added:
        return
    given = shared.of_the_request(function, itself)
    back = _put_back(function) if targets else set()
    for node, target in sorted(targets, key=lambda one: one[0].lineno):
        what = ast.unparse(target)
        if what not in back and not (mentions(node.value, given) and _is_of_one(function, node, target)):
            continue
        if isinstance(target.value, ast.Name) and target.value.id == itself and function.owner is not None:
            made = lasting.made(service, function.owner)
            if made is not None and service.resolver.method(function.owner, target.attr) is None:
                yield Put(node, what, grows=False, made=made)
        elif what.rpartition(".")[0].endswith("app.state") or _is_lasting(service, target.value, function):
            yield Put(node, what, grows=False, made=None)
    if function.owner is not None:
        yield from _grown(service, function, function.owner, added, given)


def self_name(function: Function) -> str:
    """How a method names its object; empty for what is none."""
    if function.owner is None or function.decorated("staticmethod", "classmethod"):
        return ""
    first = next(function.parameters, None)
    return first[0].arg if first is not None else ""


def _put_back(function: Function) -> set[str]:
    """What is set for the time of the call, and put back in a `finally`."""
    tries = [node for node in function.of(ast.Try) if node.finalbody]
    back = {what for node in tries for what in _set_in(node.finalbody)}
    if not back:
        return back
    ends = {id(inner) for node in tries for inner in own(node.finalbody)}
    return back & set(_set_in(node for node in function.nodes if id(node) not in ends))


def _set_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in own(nodes):
        if isinstance(node, ast.Assign):
            yield from (ast.unparse(target) for target in node.targets if isinstance(target, ast.Attribute))


def _is_of_one(function: Function, node: ast.Assign, target: ast.Attribute) -> bool:
    """It is of this request: no client that is made when it is first needed, no state of the object, nothing under a lock."""
    if shared.is_first(function, node, target) or _OF_ALL.search(target.attr):
        return False
    if _BEGINS.match(function.name) and not _OF_ONE.search(target.attr):
        return False
    return not any(
        isinstance(outer, ast.With | ast.AsyncWith)
        and any("lock" in ast.unparse(item.context_expr).lower() for item in outer.items)
        and any(inner is node for inner in own(outer.body))
        for outer in function.nodes
    )


def _is_lasting(service: Service, base: ast.expr, function: Function) -> bool:
    """The object is one that all requests share, as far as its type tells, or as what callers give for a parameter."""
    if lasting.is_made(service, base, function):
        return True
    if not isinstance(base, ast.Name) or base.id not in function.bindings:
        return False
    bindings = function.bindings[base.id]
    if len(bindings) != 1 or bindings[0].kind is not Kind.PARAMETER or bindings[0].annotation is not None:
        return False
    return _callers_share(service, function, base.id)


def _callers_share(service: Service, function: Function, parameter: str) -> bool:
    named = [one.arg for one, _ in function.parameters]
    if parameter not in named:  # `*objects`
        return False
    position = named.index(parameter) - bool(self_name(function))
    for module in service.project.service:
        for site in module.calls_by_name.get(function.name, ()):
            passed = site.argument(parameter, position)
            if passed is not None and lasting.is_made(service, passed, site.scope):
                targets = service.resolver.targets(site)
                if any(isinstance(value, FunctionValue) and value.definition is function for value in targets):
                    return True
    return False


def _grown(
    service: Service,
    method: Function,
    owner: Class,
    places: list[tuple[ast.AST, ast.Attribute, list[ast.expr]]],
    given: set[str],
) -> Iterator[Put]:
    """Collections of the object that a request puts something into, and nothing takes anything out of."""
    for node, held, added in places:
        name = held.attr
        if is_harmless(name) or _OF_ALL.search(name) or not any(mentions(one, given) for one in added):
            continue
        bindings = [binding for binding, _ in owner.instance.get(name, ())]
        of_class = [] if bindings else owner.bindings.get(name, [])
        bindings += of_class
        if not bindings or not all(is_collection(binding) for binding in bindings) or _gives_again(method, name):
            continue
        made = lasting.made(service, owner)
        is_shared = lasting.is_plain(service, owner) if of_class else made is not None
        if is_shared and not _is_bounded(service, owner, name):
            yield Put(node, ast.unparse(held), grows=True, made=made)


def _added(method: Function, itself: str) -> Iterator[tuple[ast.AST, ast.Attribute, list[ast.expr]]]:
    """The places where a method puts something into what its object holds, with what is put there."""
    for site in method.calls:
        called = site.node.func
        if isinstance(called, ast.Attribute) and called.attr in GROWS:
            held = whole(called.value)
            if _is_held(held, itself):
                yield site.node, held, [*handed_on(site.node), called.value]
    for node in method.of(*SETTING):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
        for target in targets:
            held = whole(target)
            if held is not target and _is_held(held, itself):
                yield node, held, [target]


def _is_held(node: ast.expr, itself: str) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == itself


def _gives_again(method: Function, name: str) -> bool:
    """What was put there is returned: a table of what has been made once."""
    returned = [node.value for node in method.of(ast.Return) if node.value is not None]
    return any(isinstance(inner, ast.Attribute) and inner.attr == name for one in returned for inner in walk(one))


def _is_bounded(service: Service, owner: Class, name: str) -> bool:
    """Something takes out of it, gives it a new value, or asks for its length."""
    lines = owner.module.lines[owner.node.lineno - 1 : owner.node.end_lineno]
    within = rf"len\(\w+\.{name}\)|del \w+\.{name}\b"
    if len(owner.instance.get(name, ())) > 1 or re.search(within, "\n".join(lines)):
        return True
    taken = re.compile(rf"\b{name}(?:\[[^\]\n]*\])?\.(?:{'|'.join(sorted(SHRINKS))})\(|\bdel [\w.]*\b{name}\[")
    return any(module.mentions(name) and taken.search(module.text) is not None for module in service.project.service)
