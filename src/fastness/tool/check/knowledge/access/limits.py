"""Limits of how much, and of how often: in front of every endpoint, and in functions that count."""

from __future__ import annotations

import ast
import re

from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.routes import Middleware
from fastness.tool.project.source.symbols import Class, Function, argument, constant, last_name
from fastness.tool.project.source.walk import own, walk

_LIMIT = re.compile(
    r"(?:body|content|upload|request|payload).*(?:size|limit|length)|(?:size|limit).*(?:body|content|upload|request|payload)",
    re.IGNORECASE,
)

_COUNTS = re.compile(r"attempts|lockout|locked_(?:out|until)|too_many|is_locked|rate_?limit", re.IGNORECASE)
_TOO_MANY = re.compile(r"\b429\b|TOO_MANY_REQUESTS|TooMany|RateLimit")
_LIMITING = {"fastness.security.SecurityMiddleware"}


def bodies_are_limited(service: Service) -> bool:
    """Something refuses requests whose body is too large, before an endpoint sees them."""
    if any(argument(app.call, "max_body_size") is not None for app in service.apps):
        return True
    for middleware in service.middleware:
        cls = middleware.cls
        name = cls.name if isinstance(cls, Class) else cls.last if isinstance(cls, External) else ""
        if isinstance(cls, External) and cls.path in _LIMITING:
            return True
        if _LIMIT.search(name) or any(_LIMIT.search(k.arg or "") for k in middleware.call.keywords):
            return True
        function = middleware.function
        if function is not None and any(isinstance(n, ast.Constant) and _is_length(n) for n in walk(function.node)):
            return True
        if isinstance(cls, Class) and any(isinstance(n, ast.Constant) and _is_length(n) for n in walk(cls.node)):
            return True
    return False


def counts_tries(function: Function) -> bool:
    """It refuses who tried too often, or looks at how often that was."""
    for node in function.nodes:
        if isinstance(node, ast.Name | ast.Attribute) and _COUNTS.search(node.id if isinstance(node, ast.Name) else node.attr):
            return True
        if isinstance(node, ast.Raise) and node.exc is not None and _TOO_MANY.search(ast.unparse(node.exc)):
            return True
    return False


def holds_for_all(service: Service, middleware: Middleware) -> bool:
    """A middleware that limits how often something is called does so for all operations."""
    return not isinstance(middleware.cls, External) or not only_as_decorated(service, middleware.cls.path)


def lets_pass(service: Service, middleware: Middleware, path: str) -> bool:
    """A middleware hands on without a look: `if not path.startswith("/api"): return await call_next(request)`."""
    method = service.resolver.method(middleware.cls, "dispatch") if isinstance(middleware.cls, Class) else None
    if method is None or "{?}" in path:
        return False
    for branch in method.of(ast.If):
        goes_on = any(isinstance(node, ast.Call) and last_name(node) == "call_next" for node in own(branch.body))
        if goes_on and isinstance(branch.body[-1], ast.Return) and _holds(branch.test, path, method):
            return True
    return False


def _holds(test: ast.expr, path: str, function: Function, names: int = 5) -> bool | None:  # noqa: PLR0911 - one dispatch
    """Whether a condition about the path of a request holds for this one; None: it asks for more than the path."""
    match test:
        case ast.Name():
            values = [binding.value for binding in function.bindings.get(test.id, ())]
            made = values[0] if len(values) == 1 and names else None
            return _holds(made, path, function, names - 1) if made is not None else None
        case ast.UnaryOp(op=ast.Not()):
            held = _holds(test.operand, path, function, names)
            return None if held is None else not held
        case ast.BoolOp():
            all_held = [_holds(value, path, function, names) for value in test.values]
            decides = isinstance(test.op, ast.Or)
            return decides if decides in all_held else None if None in all_held else not decides
        case ast.Call(func=ast.Attribute(attr="startswith", value=asked), args=[given]) if _is_path(asked):
            texts = _texts(given)
            return path.startswith(texts) if texts else None
        case ast.Compare(ops=[ast.In()], left=ast.Constant(value=str(part)), comparators=[asked]) if _is_path(asked):
            return part in path
        case ast.Compare(ops=[ast.In() | ast.Eq()], left=asked, comparators=[given]) if _is_path(asked):
            texts = _texts(given)
            return path in texts if texts else None
    return None


def _is_path(node: ast.expr) -> bool:
    return last_name(node) == "path"


def _texts(node: ast.expr) -> tuple[str, ...]:
    """The texts that are written out."""
    listed = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    texts = [text for one in listed if isinstance(text := constant(one), str)]
    return tuple(texts) if len(texts) == len(listed) else ()


def only_as_decorated(service: Service, path: str) -> bool:
    """It limits what is decorated: SlowAPI's, whose limiter has no limit for the others."""
    if not path.startswith("slowapi."):
        return False
    made = [
        site
        for module in service.project.readable
        if module.mentions("slowapi")
        for site in module.calls_by_name.get("Limiter", ())
        if service.resolver.calls(site, "slowapi.Limiter", "slowapi.extension.Limiter")
    ]
    given = {keyword.arg for site in made for keyword in site.node.keywords}
    return bool(made) and not given & {"default_limits", "application_limits", None}


def _is_length(node: ast.Constant) -> bool:
    return node.value in {"content-length", "Content-Length", b"content-length"}
