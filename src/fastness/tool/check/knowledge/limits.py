"""Limits that stand in front of every endpoint."""

from __future__ import annotations

import ast
import re

from fastness.tool.project import Service
from fastness.tool.project.symbols import Class, argument
from fastness.tool.project.values import External
from fastness.tool.project.walk import walk

_LIMIT = re.compile(
    r"(?:body|content|upload|request|payload).*(?:size|limit|length)|(?:size|limit).*(?:body|content|upload|request|payload)",
    re.IGNORECASE,
)

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


def _is_length(node: ast.Constant) -> bool:
    return node.value in {"content-length", "Content-Length", b"content-length"}
