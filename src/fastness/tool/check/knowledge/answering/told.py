"""Where the text of an exception goes to a client: from its handlers, and from the functions that handle it for an app."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator
from dataclasses import replace

from fastness.tool.check.knowledge.answering import answers, errors, texts
from fastness.tool.check.knowledge.answering.answered import Answered
from fastness.tool.check.knowledge.answering.handlers import is_broad
from fastness.tool.check.rule import Found, found, proof
from fastness.tool.findings import Evidence
from fastness.tool.project import Service
from fastness.tool.project.names.callers import HANDED_ON
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import External, Instance
from fastness.tool.project.source.symbols import Function, Scope, argument, constant, last_name
from fastness.tool.project.source.walk import own, walk


def in_result(function: Function, ways: list[Answered], service: Service) -> Iterator[Found]:
    """What a function that is no endpoint returns, and an endpoint answers with."""
    known = {(one.line, one.column) for one in in_handlers(function, service, is_answer=False)}
    way = next((one for one in ways if one.key is None), ways[0])
    for one in in_handlers(function, service, is_answer=True, keys=[way.key for way in ways]):
        if (one.line, one.column) not in known:
            yield replace(one, evidence=(*one.evidence, *way.told()))


def in_handlers(
    function: Function, service: Service, *, is_answer: bool, keys: Collection[str | None] = (None,)
) -> Iterator[Found]:
    """What the handlers of a function tell.

    Args:
        is_answer: what it returns is sent.
        keys: the items of it that are; None is everything.
    """
    for attempt in function.of(ast.Try):
        for handler in attempt.handlers:
            tells = handler.name is not None or function.module.mentions("format_exc")
            if not tells or not (is_broad(handler) or _is_internal(handler.type, function, service.resolver)):
                continue
            if _is_said_here(function, attempt, handler, service):
                continue
            evidence = proof(function, handler, f"catches {ast.unparse(handler.type) if handler.type else 'everything'}")
            names = [handler.name] if handler.name is not None else []
            left = isinstance(handler.body[-1], ast.Return | ast.Raise)
            after = None if left else attempt
            yield from _sent(function, service, handler.body, names, evidence, after=after, is_answer=is_answer, keys=keys)


def _is_said_here(function: Function, attempt: ast.Try, handler: ast.ExceptHandler, service: Service) -> bool:
    """A `KeyError` for which the function that is called has words of its own: `raise KeyError(f"no order {id}")`."""
    if handler.type is None or last_name(handler.type) != "KeyError":
        return False
    calls = {id(node) for node in own(attempt.body) if isinstance(node, ast.Call)}
    for edge in service.graph.edges(function):
        if id(edge.site.node) in calls:
            service.reading.body(edge.target)
            if any(map(_has_words, edge.target.of(ast.Raise))):
                return True
    return False


def _has_words(node: ast.Raise) -> bool:
    """It is raised with a sentence, and not with a key."""
    if not isinstance(node.exc, ast.Call) or last_name(node.exc) != "KeyError" or not node.exc.args:
        return False
    said = node.exc.args[0]
    return isinstance(said, ast.JoinedStr) or " " in str(constant(said))


def _is_internal(caught: ast.expr | None, scope: Scope, resolver: Resolver) -> bool:
    """One of the exceptions is of the language or of a library, with a text that speaks of the inside."""
    types = caught.elts if isinstance(caught, ast.Tuple) else [caught] if caught is not None else []
    return any(last_name(one) in texts.INTERNAL for one in types) or any(
        isinstance(value, External) and texts.is_outward(value.path)
        for one in types
        if not hasattr(builtins, last_name(one))
        for value in resolver.infer(one, scope)
    )


def _sent(
    function: Function,
    service: Service,
    body: list[ast.stmt],
    exceptions: list[str],
    *evidence: Evidence,
    is_answer: bool,
    after: ast.Try | None = None,
    keys: Collection[str | None] = (None,),
) -> Iterator[Found]:
    """The places of a body that put one of these exceptions' text into an answer, or hold it until one is made."""
    names = texts.held(function, body, exceptions, lambda name: _keeps(function, service, name))
    reported: set[ast.AST] = set()
    message = f"the text of {' or '.join(sorted(exceptions)) or 'the exception'} goes to the client"
    for inner, telling in (*((node, names) for node in own(body)), *_later(function, after, names, exceptions)):
        if isinstance(inner, ast.Call) and not texts.may_tell(inner, telling):
            continue
        for content in answers.contents(inner, function, service.resolver, returned=is_answer, exceptions=exceptions):
            place = texts.telling(content, telling)
            if place is None or texts.is_meant(function, inner, exceptions):
                continue
            made = next((one for n in walk(place) if isinstance(n, ast.Name) and (one := telling.get(n.id))), None)
            if not any(key is None or texts.is_under(key, made or inner) for key in keys):
                continue
            # What is held from one handler on is reported where it is put there, and not at each way out.
            at = made if telling is not names and made is not None else place
            if at in reported:
                continue
            reported.add(at)
            steps = [*evidence, *([proof(function, made, "becomes text here")] if made is not None else [])]
            steps += [proof(function, inner, "is sent here")] if at is made else []
            yield found(function, at, message, *steps)


def _later(
    function: Function, attempt: ast.Try | None, names: texts.Names, exceptions: Collection[str]
) -> Iterator[tuple[ast.AST, texts.Names]]:
    """What comes after a `try` whose handler goes on, with the names that still hold a text there."""
    kept = {name: made for name, made in names.items() if name not in exceptions}
    if attempt is None or not kept:
        return
    end = attempt.end_lineno or 0
    for node in function.nodes:
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Call | ast.Return | ast.Yield) and line > end:
            yield node, {name: made for name, made in kept.items() if not any(end < at < line for at in _bound(function, name))}


def _bound(function: Function, name: str) -> Iterator[int]:
    """The lines that give a name another value."""
    return (getattr(binding.node, "lineno", 0) for binding in function.bindings.get(name, ()))


def _keeps(function: Function, service: Service, name: str) -> bool:
    """What is put into what a name stands for is sent with it.

    A row of the database has fields that nobody is shown, and what is added to a session is stored.
    """
    first = next(function.parameters, None)
    if name in HANDED_ON or (function.owner is not None and first is not None and name == first[0].arg):
        return False
    values = service.resolver.name(name, function)
    return not any(
        service.is_entity(value.definition) if isinstance(value, Instance) else "Session" in getattr(value, "path", "")
        for value in values
    )


def in_exception_handler(function: Function, service: Service) -> Iterator[Found]:
    """`@app.exception_handler(Exception)` and functions that get the exception as a parameter."""
    names = _handled(function, service.resolver)
    if not names:
        return
    handles = proof(function, function.node, "handles the exception")
    sent = list(_sent(function, service, function.node.body, names, handles, is_answer=True))
    if sent and not function.decorators:
        # Starlette's types ask for `Exception` whatever the handler is registered for.
        registered = {name for one in errors.handlers(service) if function in one.functions for name in one.names}
        if registered and not registered & {*texts.INTERNAL, "Exception", "500"}:
            return
    yield from sent


def _handled(function: Function, resolver: Resolver) -> list[str]:
    parameters = [parameter for parameter, _ in function.parameters]
    for decorator in function.decorators:
        if isinstance(decorator, ast.Call) and last_name(decorator) == "exception_handler":
            which = argument(decorator, "exc_class_or_status_code", 0)
            internal = constant(which) == 500 or (which is not None and last_name(which) == "Exception")
            internal = internal or _is_internal(which, function.parent, resolver)
            return [parameters[-1].arg] if internal and len(parameters) >= 2 else []
    if len(parameters) == 2 or function.name.startswith(("on_", "handle")):
        # A handler that is added by a call, or a backend's `on_error=`: (request, exc: Exception).
        exceptions = [
            p.arg for p in parameters if p.annotation is not None and last_name(p.annotation) in (*texts.INTERNAL, "Exception")
        ]
        of = (value for p in parameters for value in resolver.annotation(p.annotation, function.parent))
        requests = exceptions and any(isinstance(value, External) and value.path == "fastapi.Request()" for value in of)
        return exceptions if requests else []
    return []
