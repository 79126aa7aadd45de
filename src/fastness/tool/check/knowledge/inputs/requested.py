"""Values that hold all that a client sent, with its credentials: every header of a request, the body of a login."""

from __future__ import annotations

import ast
import re

from fastness.tool.project import Service
from fastness.tool.project.names.values import FunctionValue
from fastness.tool.project.source.symbols import CallSite, Function, handed_on, last_name
from fastness.tool.project.source.walk import own, walk

_REQUESTS = {"request", "req", "websocket", "http_request", "self.request"}
_BODIES = {"body", "json", "form"}
_READS = {"loads", "decode", "dict", "str"}
# Whoever thinks of these leaves them out, or shows only what is harmless.
_CHOOSES = re.compile(
    r"authorization|cookie|sensitive|redact|mask|secret|saniti|scrub|safe|allow|white_?list|block|black_?list|exclude|hidden|private",
    re.IGNORECASE,
)
_SETTING = re.compile(r"environ|getenv|settings|config|debug", re.IGNORECASE)
_LOGS_IN = re.compile(
    r"log_?in|sign_?(?:in|up)|regist(?:er|ration)|password|(?:get|create|issue|access|refresh)_token|authenticat", re.IGNORECASE
)


def all_headers(node: ast.expr, site: CallSite, service: Service) -> bool:
    """The value holds every header of a request, `Authorization` and `Cookie` with them."""
    return _all_headers(node, site, service, 0) and not _is_asked_for(site)


def _is_asked_for(site: CallSite) -> bool:
    """A setting, off by default as a rule, asks for this line: `if settings.log_headers`."""
    branches = site.scope.of(ast.If) if isinstance(site.scope, Function) else []
    return any(_SETTING.search(ast.unparse(one.test)) and site.node in own(one.body) for one in branches)


def _all_headers(node: ast.expr, site: CallSite, service: Service, depth: int) -> bool:
    match node:
        case ast.Attribute(attr="headers"):
            return ast.unparse(node.value) in _REQUESTS
        case (
            ast.Call(func=ast.Name(id="dict"), args=[whole]) | ast.Call(func=ast.Attribute(attr="items" | "copy", value=whole))
        ):
            return _all_headers(whole, site, service, depth)
        case ast.Call():
            given = [one for one in handed_on(node) if _all_headers(one, site, service, depth + 1)] if depth < 2 else []
            return bool(given) and _copied_by(node, site, service)
        case ast.DictComp(generators=[only]):
            return _copies(node) and _all_headers(only.iter, site, service, depth)
        case ast.Name() if depth < 2 and isinstance(site.scope, Function) and "header" in node.id.lower():
            values = [binding.value for binding in site.scope.bindings.get(node.id, ())]
            return bool(values) and all(one is not None and _all_headers(one, site, service, depth + 1) for one in values)
    return False


def _copied_by(call: ast.Call, site: CallSite, service: Service) -> bool:
    """A function of the project that gives back the headers that it gets, or all but some that are no credentials."""
    targets = [value for value in service.resolver.infer(call.func, site.scope) if isinstance(value, FunctionValue)]
    return len(targets) == 1 and all(_goes_through(one.definition) and _copies(one.definition.node) for one in targets)


def _goes_through(function: Function) -> bool:
    return any(one.name == "items" for one in function.calls) and any(
        node.value is not None for node in function.of(ast.Return)
    )


def _copies(node: ast.AST) -> bool:
    """Nothing in it chooses among the headers, or leaves the credentials out."""
    for part in walk(node):
        if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.In | ast.Eq):
            return False
        named = part.value if isinstance(part, ast.Constant) else last_name(part) if isinstance(part, ast.expr) else ""
        if _CHOOSES.search(str(named)):
            return False
    return True


def login_body(node: ast.expr, site: CallSite, service: Service) -> bool:
    """The value is the whole body of a request that can be a login: in its endpoint, or in a middleware, which sees all."""
    scope = site.scope
    if not isinstance(scope, Function) or not _is_body(node, scope) or _is_asked_for(site):
        return False
    return bool(_LOGS_IN.search(scope.name)) or any(scope in service.run_by(middleware) for middleware in service.middleware)


def _is_body(node: ast.expr | None, scope: Function, depth: int = 0) -> bool:
    match node:
        case ast.Await(value=ast.Call(func=ast.Attribute(attr=attribute, value=whole))):
            return attribute in _BODIES and ast.unparse(whole) in _REQUESTS
        case ast.Call():
            parts = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
            return last_name(node) in _READS and any(_is_body(one, scope, depth) for one in parts)
        case ast.Name() if depth < 3:
            values = [binding.value for binding in scope.bindings.get(node.id, ())]
            return any(_is_body(one, scope, depth + 1) for one in values)
    return False
