"""What holds connections and is made for each request: pools that are always empty, clients that always open new ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.lifetimes import resources
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function, Kind
from fastness.tool.project.source.walk import walk

_POOLS = {"Engine", "AsyncEngine", "ConnectionPool", "BlockingConnectionPool", "create_pool", "MongoClient",
          "AsyncIOMotorClient", "AsyncMongoClient", "Celery"}  # fmt: skip
_CLIENTS = {"Client", "AsyncClient", "ClientSession", "Redis"}
_CLOSING = frozenset({"close", "aclose", "dispose", "disconnect"})
_CLOSES = rf"{{}}(?:\.sync_engine)?\.(?:{'|'.join(sorted(_CLOSING))})"

_PROBES = re.compile(r"ready|readiness|health|probe|ping|check|test|alive|migrat", re.IGNORECASE)


def named(what: str) -> str:
    """A resource with its article."""
    return f"{'an' if what[0] in 'AEIOU' else 'a'} {what}"


def made(service: Service, function: Function) -> Iterator[tuple[ast.AST, str, bool]]:
    """What a function makes each time: where, what is to be said of it, and whether it is closed again."""
    called = (function, *(edge.target for edge in service.graph.edges(function)))
    if any(resources.makes(call.target) for one in called for call in service.graph.outward(one)):
        for node, what in _kept_open(service, function):
            yield node, f"{function.qualified} makes {what}", False
        for node, what in _closed_again(service, function):
            yield node, f"{function.qualified} opens {what} for each call: no connection is used again", True


def _kept_open(service: Service, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """A pool that only this run of the function holds, and a client that nothing closes: where it is made, and what it is."""
    if resources.is_cached(function):
        return
    for name, bindings in function.bindings.items():
        for binding in bindings:
            if binding.kind is not Kind.ASSIGN or name in function.globals or not isinstance(binding.node, ast.stmt):
                continue
            what = resources.resource(service, binding.value, function) or resources.broker(service, binding.value, function)
            if what in _POOLS and not _outlives(function, name):
                yield binding.node, f"{name}, {named(what)}, for each request"
            elif what in _CLIENTS and not resources.is_entered(function, name) and not _is_handed_out(function, name):
                yield binding.node, f"{name}, {named(what)}, for each request, and nothing closes it"
    for node in function.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
            what = resources.resource(service, node.value, function)
            if what in _CLIENTS:
                yield node.value, f"{named(what)} for each request, and nothing closes it"


def _closed_again(service: Service, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """A client or pool for the time of one call, entered or closed by name; a probe opens one to see that it can."""
    if _PROBES.search(function.name) or any(site.name == "ping" for site in function.calls):
        return
    for node in function.nodes:
        for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else ():
            what = resources.resource(service, item.context_expr, function)
            if what in _CLIENTS:
                yield item.context_expr, named(what)
    for name, bindings in function.bindings.items():
        if name in function.globals or not _closes(function, name):
            continue
        for binding in bindings:
            what = resources.resource(service, binding.value, function) if binding.kind is Kind.ASSIGN else None
            if (what in _POOLS and not resources.is_cached(function)) or (
                what in _CLIENTS and not _is_given_out(function, name)
            ):
                yield binding.node, named(what)


def _is_handed_out(function: Function, name: str) -> bool:
    """Somebody else has it, who may close it; what is asked of it, `return client.get(...)`, hands out something else."""
    return _is_given_out(function, name) or _closes(function, name)


def _is_given_out(function: Function, name: str) -> bool:
    asked = {id(node.value) for node in function.of(ast.Attribute)}
    return any(isinstance(one, ast.Name) and one.id == name and id(one) not in asked for one in _given_out(function))


def _outlives(function: Function, name: str) -> bool:
    """It, or what it gives, is found again; or it is closed here, as after a probe."""
    return any(isinstance(one, ast.Name) and one.id == name for one in _given_out(function)) or _closes(function, name)


def _closes(function: Function, name: str) -> bool:
    closing = re.compile(_CLOSES.format(name))
    closes = (node for node in function.nodes if isinstance(node, ast.Attribute) and node.attr in _CLOSING)
    return any(closing.fullmatch(ast.unparse(node)) for node in closes)


def _given_out(function: Function) -> Iterator[ast.AST]:
    """What is returned, yielded, or put where it is found again."""
    for node in function.nodes:
        value = node.value if isinstance(node, ast.Return | ast.Yield | ast.Assign | ast.AnnAssign) else None
        kept = not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(_target(node), ast.Name)
        if value is not None and kept:
            yield from walk(value)


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.targets[0] if isinstance(node, ast.Assign) else node.target
