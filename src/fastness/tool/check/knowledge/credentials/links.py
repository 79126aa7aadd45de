"""Addresses that open what they lead to: a link that logs in, a connection string with its password."""

from __future__ import annotations

import ast
import re
from itertools import pairwise

from fastness.tool.check.knowledge.credentials.secrets import dsn_password
from fastness.tool.project.names import literals
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.source.symbols import CallSite, Function, constant, last_name

# A link that logs in whoever follows it.
_LINK = re.compile(
    r"(?:magic|log_?in|sign_?(?:in|up)|auth|verif|reset|confirm|invit|activat|password)[^\s]*[?&](\w*(?:code|token|otp|secret|key))=$",
    re.IGNORECASE,
)
_CONNECTS = re.compile(r"(?:^|_)(?:url|uri|dsn|conn|connection(?:_string)?)$", re.IGNORECASE)
_BEFORE_PASSWORD = re.compile(r"://[^\s/@]*:$")


def secret_of(node: ast.expr, site: CallSite) -> str | None:
    """The parameter with which a link that was made in the function logs in whoever follows it."""
    if not isinstance(node, ast.Name) or not isinstance(site.scope, Function):
        return None
    for binding in site.scope.bindings.get(node.id, ()):
        parts = binding.value.values if isinstance(binding.value, ast.JoinedStr) else []
        before = ""
        for part in parts:
            matched = _LINK.search(before) if isinstance(part, ast.FormattedValue) else None
            if matched is not None:
                return matched[1]
            before += _text(part)
    return None


def connects(resolver: Resolver, node: ast.expr, site: CallSite) -> bool:
    """The name stands for a connection string that has its password in it: `f"postgresql://{user}:{password}@{host}"`."""
    if not isinstance(node, ast.Name | ast.Attribute) or not _CONNECTS.search(last_name(node)):
        return False
    made, _ = literals.origin(resolver, node, site.scope)
    if isinstance(made, ast.Constant):
        return dsn_password(str(made.value)) is not None
    parts = made.values if isinstance(made, ast.JoinedStr) else []
    before = ""
    for part, behind in pairwise(parts):
        if isinstance(part, ast.FormattedValue) and _BEFORE_PASSWORD.search(before) and _text(behind).startswith("@"):
            return True
        before += _text(part)
    return False


def _text(part: ast.expr) -> str:
    return str(constant(part)) if isinstance(part, ast.Constant) else "{}"
