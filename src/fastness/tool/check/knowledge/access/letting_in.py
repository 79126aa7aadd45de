"""What lets a request go on: answers of a guard that refuse nobody, and checks that say yes when they could not ask."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from fastness.tool.project.source.symbols import Function, constant, last_name
from fastness.tool.project.source.walk import own

_NO = re.compile(r"\b40[013]\b|UNAUTHORIZED|FORBIDDEN|^False$")
# What a function says by its name to find out: that somebody must not, of which no is the answer that lets in, or that he may.
_MUST_NOT = re.compile(
    r"(?:^|_)(?:is|was|has|check|in)_\w*?(?:revoked|(?:black|deny|block)_?list(?:ed)?|invalidated|banned|logged_out)(?:$|_)"
)
_MAY = re.compile(
    r"(?:^|_)(?:verify|validate|check|is|has|can|user_has)_\w*?(?:signature|token|permissions?|role|access|api_key|authori[sz]ed)(?:$|_)"
)
_NOT_WHO = re.compile(r"rate|limit|quota|captcha|csrf|expire|refresh_needed|revocation_enabled")
# The other side could not be asked; a token that cannot be read is none.
_UNANSWERED = re.compile(r"(?:^|\.)(?:Base)?Exception$|Redis|Connect|Timeout|SQLAlchemy|RequestError|HTTPError|OSError")


def unasked(function: Function) -> Iterator[tuple[ast.ExceptHandler, str]]:
    """The handlers in which a check that failed answers as if all were well, with what that means."""
    if _NOT_WHO.search(function.name):
        return
    if _MUST_NOT.search(function.name):
        letting_in, told = False, "takes what was revoked"
    elif _MAY.search(function.name):
        letting_in, told = True, "lets everybody in"
    else:
        return
    for handler in function.of(ast.ExceptHandler):
        if _is_of_failure(handler) and _answer(handler.body, function) is letting_in:
            yield handler, told


def _is_of_failure(handler: ast.ExceptHandler) -> bool:
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or _UNANSWERED.search(ast.unparse(one)) for one in types)


def _answer(body: list[ast.stmt], function: Function) -> object:
    """The literal that is returned there, or behind it when nothing is."""
    inside = list(own(body))
    if any(isinstance(node, ast.Raise) for node in inside):
        return None
    returned = [node.value for node in inside if isinstance(node, ast.Return)]
    if not returned and isinstance(function.body[-1], ast.Return):
        returned = [function.body[-1].value]
    answers = {constant(value) for value in returned}
    return answers.pop() if len(answers) == 1 else None


def refuses(nodes: Iterable[ast.AST]) -> bool:
    """It raises, or answers that nobody may."""
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Return) and node.value is not None and _NO.search(ast.unparse(node.value)) is not None)
        for node in nodes
    )


def lets_in(body: list[ast.stmt], guard: Function) -> bool:
    if any(isinstance(node, ast.Raise) for node in own(body)):
        return False
    going_on = {"call_next", "app", *_goes_on(guard)}
    for node in own(body):
        if isinstance(node, ast.Return):
            text = ast.unparse(node.value) if node.value is not None else "None"
            called = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(called, ast.Call) and last_name(called) in going_on:
                return True
            return text in {"None", "True"} or text.startswith(("{", "User"))
    return any(isinstance(n, ast.Call) and last_name(n) in going_on for n in own(body))


def _goes_on(guard: Function) -> set[str]:
    """Functions inside of a middleware that call the next one."""
    return {
        name
        for name, bindings in guard.bindings.items()
        for binding in bindings
        if isinstance(binding.definition, Function) and any(site.name == "call_next" for site in binding.definition.calls)
    }
