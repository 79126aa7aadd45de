"""What a `try` is there for: whether something happens inside whose failure matters."""

from __future__ import annotations

import ast

from fastness.tool.check.knowledge.running import blocking
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function, constant, last_name
from fastness.tool.project.source.walk import own

_STREAMS = {"stdout", "stderr"}
_OUTSIDE = {blocking.DATABASE, blocking.NETWORK, blocking.FILE}
_CLEANUP = frozenset({
    "close", "aclose", "disconnect", "logout", "shutdown", "cancel", "terminate", "kill", "unlink", "remove", "rmtree",
    "rollback", "release", "dispose", "quit", "stop", "wait_closed", "expunge", "delete_file", "send_json", "expire",
})  # fmt: skip
_READS = frozenset({
    "execute", "scalar", "scalars", "get", "query", "commit", "flush", "refresh", "all", "first", "one", "fetch", "fetchone",
    "fetchall", "post", "put", "request", "send", "find_one", "insert", "update", "table",
})  # fmt: skip


def does_real_work(function: Function, node: ast.Try, service: Service, *, asked_for: bool) -> bool:
    """Something whose failure matters happens inside; clean-up may fail.

    Args:
        asked_for: its result is what the function is there for, so whatever asks outside matters.
    """
    calls = [inner for inner in own(node.body) if isinstance(inner, ast.Call) and not _looks_up(function, inner)]
    called = {last_name(call) for call in calls}
    if not called:
        # Attributes of attributes: with an ORM, each step can be a query.
        return sum(isinstance(inner, ast.Attribute) for inner in own(node.body)) >= 3
    if called & _CLEANUP:
        return False
    return bool(called & _READS) or (asked_for and _asks_outside(function, {id(call) for call in calls}, service))


def _asks_outside(function: Function, calls: set[int], service: Service) -> bool:
    """One of the calls, or a function that it runs, asks a database or another service, or reads a file."""
    within = [function, *(edge.target for edge in service.graph.edges(function) if id(edge.site.node) in calls)]
    return any(
        blocking.kind(one.target.path) in _OUTSIDE
        for runs in within
        for one in service.graph.outward(runs)
        if runs is not function or id(one.site.node) in calls
    )


def _looks_up(function: Function, call: ast.Call) -> bool:
    """`NAMES.get(key)`, `request.headers.get(key)` and `answer.update(...)` of a table that is made here ask nobody outside."""
    if not isinstance(call.func, ast.Attribute):
        return False
    of = call.func.value
    bindings = function.bindings.get(of.id, ()) if isinstance(of, ast.Name) else ()
    if call.func.attr == "flush" and (any(_is_file(binding.value) for binding in bindings) or last_name(of) in _STREAMS):
        return True
    if bindings and all(isinstance(binding.value, ast.Dict | ast.Set | ast.List) for binding in bindings):
        return True
    if call.func.attr != "get":
        return False
    key = constant(call.args[0]) if call.args else None
    named = isinstance(key, str) and "/" not in key  # an item of what was decoded
    return named or last_name(of).isupper() or last_name(of) in {"headers", "cookies", "query_params", "environ"}


def _is_file(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and last_name(value) in {"open", "fdopen", "NamedTemporaryFile", "TemporaryFile"}
