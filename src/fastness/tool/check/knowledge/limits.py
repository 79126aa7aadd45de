"""Limits of how much, and of how often: in front of every endpoint, and in functions that count."""

from __future__ import annotations

import ast
import re

from fastness.tool.project import Service
from fastness.tool.project.routes import Middleware
from fastness.tool.project.symbols import Class, Function, argument
from fastness.tool.project.values import External
from fastness.tool.project.walk import walk

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
