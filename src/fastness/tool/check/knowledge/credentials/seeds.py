"""Accounts that code makes with a password that stands in the source."""

from __future__ import annotations

import ast
import re

from fastness.tool.check.knowledge.credentials.secrets import is_dummy, is_literal_secret
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, constant, last_name
from fastness.tool.project.source.walk import walk

_HASHES = re.compile(
    r"^hashpw$|^hash_?(?:password|pw)|password_hash$|^get_hash|^(?:hash|encrypt)_?password|hash_pass|^hash$", re.IGNORECASE
)
_PASSWORD = re.compile(r"pass(?:word|wd|phrase)|pwd", re.IGNORECASE)
_WRITES = re.compile(r"\b(?:insert|update)\b.*(?:pass(?:word|wd|phrase)|pwd)", re.IGNORECASE | re.DOTALL)


def literal(module: Module) -> dict[Function, list[CallSite]]:
    """The functions that hash such a password and keep it, with the calls that hash."""
    seeds: dict[Function, list[CallSite]] = {}
    for name in sorted(filter(_HASHES.search, module.calls_by_name.names)):
        for site in module.calls_by_name.get(name, ()):
            text = _hashed(site.node)
            if text is None or not isinstance(site.scope, Function) or module.only_as_script(site.node):
                continue
            if is_literal_secret(text) and not is_dummy(text) and _is_kept(site.node, site.scope):
                seeds.setdefault(site.scope, []).append(site)
    return seeds


def _hashed(call: ast.Call) -> str | None:
    given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg in {"password", "secret"}), None)
    if isinstance(given, ast.Call) and last_name(given) == "encode" and isinstance(given.func, ast.Attribute):
        given = given.func.value
    value = constant(given)
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else None


def _is_kept(call: ast.Call, function: Function) -> bool:
    """What was hashed becomes the password of something: what a guess is compared with, to take as long, does not."""
    wanted: set[ast.AST] = {call}
    for name, bindings in function.bindings.items():
        if any(binding.value is not None and call in walk(binding.value) for binding in bindings) and not is_dummy(name):
            wanted |= {node for node in function.of(ast.Name) if node.id == name}
    for node in function.nodes:
        if isinstance(node, ast.Call) and last_name(node) == "execute" and node.args:
            given = node.args[1:] if any(_WRITES.search(str(constant(one))) for one in walk(node.args[0])) else []
        elif isinstance(node, ast.Call):
            given = [keyword.value for keyword in node.keywords if keyword.arg and _PASSWORD.search(keyword.arg)]
        elif isinstance(node, ast.Dict):
            given = [v for k, v in zip(node.keys, node.values, strict=True) if _PASSWORD.search(str(constant(k)))]
        elif isinstance(node, ast.Assign):
            given = [node.value] if any(isinstance(t, ast.Attribute) and _PASSWORD.search(t.attr) for t in node.targets) else []
        else:
            continue
        if any(inner in wanted for value in given for inner in walk(value)):
            return True
    return False
