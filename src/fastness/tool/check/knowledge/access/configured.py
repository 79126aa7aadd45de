"""Secrets and signatures that a service is configured with or sent, and conditions that ask whether they are there."""

from __future__ import annotations

import ast
import re

from fastness.tool.check.knowledge.credentials.secrets import names_secret
from fastness.tool.project.source.symbols import Function, last_name

_SECRET = re.compile(r"secret|api_?key|signing_key|public_key|auth_?token|webhook_?token|jwks", re.IGNORECASE)


def set_secret(test: ast.expr, function: Function) -> str | None:
    """The name of the configured secret that must be there for this branch."""
    subject = test.values[0] if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else test
    if isinstance(subject, ast.Compare) and len(subject.ops) == 1 and isinstance(subject.ops[0], ast.IsNot):
        subject = subject.left
    return _secret(subject, function) if isinstance(subject, ast.Name | ast.Attribute | ast.Call) else None


def missing_secret(test: ast.expr, function: Function) -> str | None:
    """The name of the configured secret whose absence is tested for."""
    subject: ast.expr | None = None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        subject = test.operand
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Is | ast.Eq):
        compared = test.comparators[0]
        subject = test.left if isinstance(compared, ast.Constant) and not compared.value else None
    return _secret(subject, function) if subject is not None else None


def _secret(subject: ast.expr, function: Function) -> str | None:
    if isinstance(subject, ast.Call):
        variable = subject.args[0] if subject.args else None
        text = variable.value if isinstance(variable, ast.Constant) else None
        return text if isinstance(text, str) and _SECRET.search(text) and last_name(subject) in {"getenv", "get"} else None
    name = last_name(subject)
    if not (_SECRET.search(name) or names_secret(name)):
        return None
    if isinstance(subject, ast.Name):
        return name if _from_configuration(subject, function) else None
    return name if re.search(r"settings|config|env|\bself\.", ast.unparse(subject), re.IGNORECASE) else None


def _from_configuration(name: ast.Name, function: Function) -> bool:
    """The name is a setting, not something that the request brought."""
    bindings = function.bindings.get(name.id)
    if bindings is None:
        return True  # the module's
    texts = [ast.unparse(binding.value) for binding in bindings if binding.value is not None]
    return any(re.search(r"environ|getenv|settings|config", text, re.IGNORECASE) and "request" not in text for text in texts)


def asks_for(name: str, function: Function) -> bool:
    """`if not signature`, `if settings.secret is None`: its absence is looked at."""
    for node in function.nodes:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and not isinstance(node.operand, ast.Call):
            subject = node.operand
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.Eq):
            subject = node.left
        else:
            continue
        if last_name(subject) == name:
            return True
    return False


def may_be_missing(name: str, function: Function) -> bool:
    """What a function reads of the request need not have been sent."""
    for parameter, default in function.parameters:
        if parameter.arg == name:
            given = default.args[0] if isinstance(default, ast.Call) and default.args else default
            declared = "" if parameter.annotation is None else ast.unparse(parameter.annotation)
            return (isinstance(given, ast.Constant) and given.value is None) or "None" in declared or "Optional" in declared
    values = [binding.value for binding in function.bindings.get(name, ()) if binding.value is not None]
    return any(isinstance(value, ast.Call) and last_name(value) == "get" for value in values)
