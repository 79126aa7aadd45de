"""Lists, sets and dictionaries that a module or an object holds: what is one, and what functions put in and take out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial

from fastness.tool.project import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Binding, Function, Kind
from fastness.tool.project.source.walk import walk

SETTING = (ast.Assign, ast.AugAssign)  # a tuple, because a union takes three times as long to ask
GROWS = frozenset({"append", "extend", "add", "update", "insert", "setdefault", "appendleft"})
SHRINKS = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard"})
# What is no state of a request, by its name.
_HARMLESS = (
    "cache", "memo", "registry", "lock", "pending", "tasks", "seen", "ttl", "connections", "subscribers", "handlers", "clients",
    "logged", "warned", "hits", "misses", "sequence",
)  # fmt: skip
# What the next request of the same client must find, in whatever process it is served: that it is taken out again is no help.
_AWAITED = re.compile(
    r"(?:^|_)(?:otps?|oauth\d?|pkce|nonces?|verifications?|conversations?|(?:chat|user|login|auth|game|quiz)_?sessions?"
    r"|(?:otp|reset|verify|verification|login|auth)_(?:codes?|tokens?|store|states?)|revoked|(?:token_)?(?:black|deny)list(?:ed)?)"
    r"(?:$|_)(?!\w*(?:config|provider|client|url|scope)s?)",
    re.IGNORECASE,
)


def is_harmless(name: str) -> bool:
    """It is a cache, a lock or a table of what there is, by its name."""
    return any(word in name.lower() for word in _HARMLESS)


def is_collection(binding: Binding) -> bool:
    """The name is given a list, a dictionary or a set without a bound."""
    value = binding.value
    if binding.kind is not Kind.ASSIGN:
        return False
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in {"list", "dict", "set", "defaultdict"} and not value.keywords
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _changes(module: Module) -> tuple[dict[str, list[tuple[Function, ast.AST]]], set[str]]:
    """What the functions of a file put into collections, by the collection's name, and the names that they take out of.

    That of a class is named with it, `Carts.open`, as that is which its class methods call `cls.open`.
    """
    put: dict[str, list[tuple[Function, ast.AST]]] = {}
    shrunk: set[str] = set()
    for function in module.functions:
        for site in function.calls:
            called = site.node.func
            if isinstance(called, ast.Attribute) and called.attr in GROWS:
                put.setdefault(_name(called.value, function), []).append((function, site.node))
            elif isinstance(called, ast.Attribute) and called.attr in SHRINKS:
                shrunk |= {_name(called.value, function), _name(called.value, function, itself=True)}
        for node in walk(function.node):
            if isinstance(node, SETTING):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in {_name(target.value, function) for target in targets if isinstance(target, ast.Subscript)}:
                    put.setdefault(name, []).append((function, node))
            elif isinstance(node, ast.Delete):
                taken = [target.value for target in node.targets if isinstance(target, ast.Subscript)]
                shrunk.update(_name(one, function, itself=itself) for one in taken for itself in (False, True))
    return put, shrunk


def changed(
    service: Service, module: Module, reached: set[Function]
) -> Iterator[tuple[str, Binding, list[tuple[Function, ast.AST]]]]:
    """The module's own collections that these functions put something into, and nothing takes anything out of."""
    for name, binding, put in service.notes.search("changed collections", module, partial(_changed, module)):
        places = [(function, node) for function, node in put if function in reached]
        if places:
            yield name, binding, places


def _changed(module: Module) -> Iterator[tuple[str, Binding, list[tuple[Function, ast.AST]]]]:
    names = {
        name: bindings[0]
        for name, bindings in module.bindings.items()
        if len(bindings) == 1 and is_collection(bindings[0]) and not is_harmless(name)
    }
    for defined in module.classes:
        names |= {
            f"{defined.name}.{name}": bindings[0]
            for name, bindings in defined.bindings.items()
            if len(bindings) == 1 and is_collection(bindings[0]) and not is_harmless(name) and name not in defined.instance
        }
    put, shrunk = _changes(module) if names else ({}, set())
    for name, binding in names.items():
        places = [(f, node) for f, node in put.get(name, ()) if name not in f.bindings]
        places = [(f, node) for f, node in places if not (_is_asked_anew(f, node, name) or _gives_again(f, name))]
        if places and (name not in shrunk or _is_awaited(module, name)):
            yield name, binding, places


def _is_awaited(module: Module, name: str) -> bool:
    """A later request of the client asks for it; what belongs to a connection ends with it, where it was made."""
    return _AWAITED.search(name) is not None and not module.mentions("WebSocket")


def _gives_again(function: Function, name: str) -> bool:
    """What a method puts into its class's is what it returns: a table of what has been made once."""
    of_class, _, held = name.rpartition(".")
    returned = [node.value for node in function.of(ast.Return) if node.value is not None]
    return bool(of_class) and any(_reads(value, {held}) for value in returned)


def _is_asked_anew(function: Function, node: ast.AST, name: str) -> bool:
    """What was put there last says whether it is put there again: `if now - last_at.get(key) > 60: last_at[key] = now`."""
    held = name.rpartition(".")[2]
    of_it = {
        local
        for local, bindings in function.bindings.items()
        for binding in bindings
        if binding.value is not None and _reads(binding.value, {held})
    } | {held}
    for outer in function.of(ast.If):
        compared = [one for one in walk(outer.test) if isinstance(one, ast.Compare) and isinstance(one.ops[0], _ORDERED)]
        asks = any(_reads(one, of_it) for one in compared)
        if asks and is_in(node, outer):
            return True
    return False


def _reads(node: ast.AST, names: set[str]) -> bool:
    return any(
        (isinstance(one, ast.Name) and one.id in names) or (isinstance(one, ast.Attribute) and one.attr in names)
        for one in walk(node)
    )


_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def is_in(node: ast.AST, branch: ast.If) -> bool:
    """It is done when the test of the branch holds."""
    return any(inner is node for statement in branch.body for inner in walk(statement))


def whole(node: ast.expr) -> ast.expr:
    """Of what this is an item, or an item of an item; the expression itself when of nothing."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def _name(node: ast.expr, function: Function, *, itself: bool = False) -> str:
    """The name itself, or of what this is an item; empty for anything else.

    Args:
        itself: what an object has of its class counts as well, `self.open`.
    """
    held = whole(node)
    if isinstance(held, ast.Attribute) and isinstance(held.value, ast.Name):
        owner = function.owner
        own = owner is not None and (function.decorated("classmethod") or itself) and held.value.id in {"cls", "self"}
        return f"{owner.name if own and owner is not None else held.value.id}.{held.attr}"
    return held.id if isinstance(held, ast.Name) else ""
