"""A request changes state that belongs to the module.

Every request of a process shares the module's lists and dictionaries, and no two processes do: what one customer's request
puts there another's can read, it grows until the process ends, and with two workers half of the requests do not see it.

Keep it in the database or Redis, or in `request.state` when it is the request's own. A bounded cache is fine.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.reach import from_requests
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Binding, Function, Kind
from fastness.tool.project.walk import walk

_GROWS = frozenset({"append", "extend", "add", "update", "insert", "setdefault", "appendleft"})
_SHRINKS = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard"})
_HARMLESS = (
    "cache",
    "memo",
    "registry",
    "lock",
    "pending",
    "tasks",
    "seen",
    "ttl",
    "connections",
    "subscribers",
    "handlers",
    "clients",
)


@rule(
    severity=Severity.WARNING,
    practice="10.1",
    help="keep it in the database or Redis: processes do not share memory, requests do",
)
def check(service: Service) -> Iterator[Found]:
    reached = from_requests(service) | _beside_routes(service)
    places = {function.module for function in reached}
    for module in service.project.service:
        if module not in places:
            continue
        names = {
            name: bindings
            for name, bindings in module.bindings.items()
            if len(bindings) == 1 and _is_collection(bindings[0]) and not any(word in name.lower() for word in _HARMLESS)
        }
        changed, shrunk = _changes(module) if names else ({}, set())
        for name, bindings in names.items():
            if name in shrunk:
                continue  # bounded by whoever takes things out
            hits = [(f, node) for f, node in changed.get(name, ()) if f in reached and name not in f.bindings]
            if hits:
                function, node = hits[0]
                message = (
                    f"{function.qualified} changes {name}, which every request of this process shares and no other process sees"
                )
                evidence = [proof(module, bindings[0].node, f"{name} is the module's")]
                evidence += [proof(f, n, "changed here too") for f, n in hits[1:4]]
                yield found(function, node, message, *evidence, count=len(hits))


def _beside_routes(service: Service) -> set[Function]:
    """Functions of files with endpoints that are handed over instead of called: validators, callbacks."""
    found_: set[Function] = set()
    for module in {route.handler.module for route in service.routes}:
        handed = {a.id for site in module.all_calls for a in site.node.args if isinstance(a, ast.Name)}
        found_ |= {function for function in module.functions if function.name in handed}
    return found_


def _is_collection(binding: Binding) -> bool:
    value = binding.value
    if binding.kind is not Kind.ASSIGN:
        return False
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in {"list", "dict", "set", "defaultdict"} and not value.keywords
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _changes(module: Module) -> tuple[dict[str, list[tuple[Function, ast.AST]]], set[str]]:
    """What the functions of a file put into collections, by the collection's name, and the names that they take out of."""
    changed: dict[str, list[tuple[Function, ast.AST]]] = {}
    shrunk: set[str] = set()
    for function in module.functions:
        for site in function.calls:
            called = site.node.func
            if isinstance(called, ast.Attribute) and called.attr in _GROWS:
                changed.setdefault(_name(called.value), []).append((function, site.node))
            elif isinstance(called, ast.Attribute) and called.attr in _SHRINKS:
                shrunk.add(_name(called.value))
        for node in walk(function.node):
            if isinstance(node, ast.Assign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in {_name(target.value) for target in targets if isinstance(target, ast.Subscript)}:
                    changed.setdefault(name, []).append((function, node))
            elif isinstance(node, ast.Delete):
                shrunk.update(_name(target.value) for target in node.targets if isinstance(target, ast.Subscript))
    return changed, shrunk


def _name(node: ast.expr) -> str:
    """The name itself, or of what this is an item; empty for anything else."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()
        failures = []
        totals = {"revenue": 0}

        def count(amount):
            totals["revenue"] += amount  # found

        @app.post("/")
        def create(amount: int):
            failures.append(amount)  # found
            count(amount)
    """),
    Good("""
        from fastapi import FastAPI

        app = FastAPI()
        NAMES = {"a": 1}
        rates_cache = {}
        recent = []
        known = []

        def load():
            known.append(1)

        @app.get("/")
        def read():
            totals = []
            totals.append(NAMES["a"])
            rates_cache["x"] = 1
            recent.append(1)
            del recent[0]
            return totals
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()
        EXPORTERS = {}

        def exporter(name):
            def register(function):
                EXPORTERS[name] = function
                return function
            return register

        @exporter("csv")
        def csv(rows): ...

        @app.get("/export/{name}")
        def export(name: str):
            return EXPORTERS[name]([])
    """,
        "filled while modules are imported, when there is no request yet",
    ),
    Good(
        """
        from contextvars import ContextVar
        from cachetools import TTLCache
        from fastapi import FastAPI

        app = FastAPI()
        quotes = TTLCache(maxsize=100, ttl=60)
        notes = ContextVar("notes", default=None)
        rows = []

        @app.get("/quotes/{name}")
        def quote(name: str):
            rows = []
            rows.append(name)
            quotes[name] = len(rows)
            notes.set([*(notes.get() or []), name])
            return quotes[name]
    """,
        "bounded by a lifetime, kept per context, or a local that has the module's name",
    ),
]
