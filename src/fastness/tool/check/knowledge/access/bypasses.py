"""Ways around a guard that stand in it: a switch for development that is on by default, a fixed answer, a password for all.

What is looked at are functions that find out who is calling, and those that they leave the token to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.access.guards import refuses
from fastness.tool.check.knowledge.access.switches import holds_by_default, names_stage
from fastness.tool.check.knowledge.credentials.secrets import is_literal_secret
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.source.symbols import Function, constant, last_name
from fastness.tool.project.source.walk import own

_SAYS_WHO = re.compile(
    r"^_?(?:get_|require_|verify_|fetch_)?(?:current|authenticated|logged_in)_?(?:active_)?(?:user|principal|admin|account|superuser)(?:_id)?$"
    r"|^(?:verify|validate|check|require|decode)_(?:\w+_)?(?:token|api_key|jwt|auth|admin|credentials)$|^authenticate(?:_user)?$",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(r"(?:^|_)(?:token|api_?key|authorization|credentials|password|secret)$", re.IGNORECASE)
_ABOUT_OTHERS = re.compile(r"csrf|xsrf|origin|captcha|rate|https|docs|webhook_ip", re.IGNORECASE)
_VERIFIES = re.compile(r"verify|jwks|^decode$|get_unverified_header", re.IGNORECASE)
_DECODES = {"urlsafe_b64decode", "b64decode"}


def bypasses(resolver: Resolver, guard: Function) -> Iterator[tuple[ast.AST, str]]:
    """The places of a guard that let somebody in whom it does not know, each with what it does there."""
    if _ABOUT_OTHERS.search(guard.name):
        return
    if (answer := _fixed(guard)) is not None:
        yield answer, f"{guard.qualified} lets everybody in: it answers the same whoever is calling"
        return
    branches = guard.of(ast.If)
    stages = [branch for branch in branches if names_stage(branch.test)]
    open_ = [branch for branch in stages if _is_open(resolver, branch, guard)]
    if open_:
        yield open_[0], f"{guard.qualified} lets strangers pass unless a setting says that this is production"
    behind = {id(node) for branch in stages if branch not in open_ for node in own(branch.body)}
    for branch in branches:
        if id(branch) not in behind and _knows_by_heart(branch):
            yield branch, f"{guard.qualified} lets in everybody who sends what stands in the source"
    for node in _read_by_hand(guard):
        if id(node) not in behind:
            yield node, f"{guard.qualified} reads a token's claims without verifying its signature: anyone can write this token"


def _fixed(guard: Function) -> ast.AST | None:
    """A function whose name says that it finds out who is calling, and that returns a literal."""
    if not _SAYS_WHO.search(guard.name) or any(True for _ in guard.parameters):
        return None
    statements = [one for one in guard.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    only = statements[0] if len(statements) == 1 else None
    return only if isinstance(only, ast.Return) and _is_somebody(only.value) else None


def _is_somebody(node: ast.expr | None) -> bool:
    """`"default_user"`, `{"id": 1}`, `User(id=1)`."""
    match node:
        case ast.Constant():
            return bool(node.value) and node.value is not ...
        case ast.Dict():
            return bool(node.values) and all(_is_literal(value) for value in node.values)
        case ast.Call():
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            return last_name(node)[:1].isupper() and bool(given) and all(map(_is_literal, given))
    return False


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(map(_is_literal, node.elts))
    return isinstance(node, ast.Constant)


def _is_open(resolver: Resolver, branch: ast.If, guard: Function) -> bool:
    """`if settings.is_development: return user`, where that is what it is by default and the guard refuses otherwise."""
    tests = branch.test.values if isinstance(branch.test, ast.BoolOp) and isinstance(branch.test.op, ast.And) else [branch.test]
    switches = [test for test in tests if names_stage(test)]
    rest = [test for test in tests if test not in switches]
    if not all(isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) for test in rest):
        return False  # what else it asks for may be a credential
    inside = [*own(branch.body)]
    answers = [node.value for node in inside if isinstance(node, ast.Return)]
    if not answers or any(isinstance(node, ast.Raise) for node in inside) or not refuses(guard):
        return False
    if isinstance(answers[0], ast.Constant) and answers[0].value is False:
        return False
    # A call may look the caller up in another way; what makes a user by hand, or goes on to the endpoint, does not.
    if isinstance(answers[0], ast.Call) and not _is_somebody(answers[0]):
        return False
    return all(holds_by_default(resolver, test, guard) for test in switches)


def _knows_by_heart(branch: ast.If) -> bool:
    """`if token == "open sesame": return user`."""
    test = branch.test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sent, known = test.left, constant(test.comparators[0])
    if not isinstance(sent, ast.Name | ast.Attribute) or not _CREDENTIAL.search(last_name(sent)):
        return False
    if not isinstance(known, str) or len(known) < 4 or not is_literal_secret(known):
        return False
    answers = [node.value for node in own(branch.body) if isinstance(node, ast.Return)]
    return any(answer is not None and not (isinstance(answer, ast.Constant) and not answer.value) for answer in answers)


def _read_by_hand(guard: Function) -> Iterator[ast.AST]:
    """`json.loads(base64.urlsafe_b64decode(token.split(".")[1]))`, with nothing that verifies, or where that has failed."""
    decoding = [site for site in guard.calls if site.name in _DECODES]
    if not decoding or not any(_takes_apart(site.node) for site in guard.calls):
        return
    if not any(isinstance(node, ast.Subscript) and constant(node.slice) == 1 for node in guard.nodes):
        return
    if not any(site.name == "loads" for site in guard.calls):
        return
    failed = {id(node) for handler in guard.of(ast.ExceptHandler) for node in own(handler.body)}
    verified = any(_VERIFIES.search(site.name) for site in guard.calls)
    for site in decoding:
        if id(site.node) in failed or not verified:
            yield site.node


def _takes_apart(call: ast.Call) -> bool:
    return last_name(call) == "split" and bool(call.args) and constant(call.args[0]) == "."


def bound_by_calls(body: list[ast.stmt]) -> dict[str, ast.Call]:
    """The names that get the result of a call, with it."""
    found_: dict[str, ast.Call] = {}
    for node in own(body):
        value = (
            node.value.value
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Await)
            else getattr(node, "value", None)
        )
        if isinstance(node, ast.Assign) and isinstance(value, ast.Call):
            found_.update((last_name(target), value) for target in node.targets)
    return found_
