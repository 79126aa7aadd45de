"""Functions that run what they are given: `retried(fetch)` calls it itself, `in_pool(fetch, url)` has a thread do it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fastness.tool.project.names.outside import OFFLOADED
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.source.symbols import CallSite, Function, Kind, last_name

THREADS: dict[str, list[str]] = {}
for _path in OFFLOADED:
    THREADS.setdefault(_path.rpartition(".")[2], []).append(_path)


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a function runs what one of its parameters is.

    Attributes:
        threaded: a thread does it.
        awaited: of a plain function, nothing is run here.
        rest: it is given what the wrapper is given besides: `function(*args)`.
    """

    parameter: str
    threaded: bool
    awaited: bool
    rest: bool


def handed_to_thread(resolver: Resolver, site: CallSite) -> list[ast.expr]:
    """What a call has a thread do: the function, and the arguments that it gets."""
    position = next((OFFLOADED[path] for path in THREADS.get(site.name, ()) if resolver.calls(site, path)), None)
    return site.node.args[position:] if position is not None else []


class Wrappers:
    """The functions of one project that run their parameters. Answers are remembered."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._uses: dict[Function, tuple[tuple[Use, ...], int]] = {}  # with the modules that were looked into

    def runs(self, site: CallSite, function: Function, *, threaded: bool) -> Iterator[CallSite]:
        """The calls that a function makes for this call of it, as if they stood here."""
        if not any(self._may_be_function(node, site) for node in [*site.node.args, *(k.value for k in site.node.keywords)]):
            return
        known = self._uses.get(function)
        reading = self._resolver.project.reading
        if known is None:
            known = self._uses[function] = reading.apart(function, lambda: tuple(self._uses_of(function)))
        reading.mask |= known[1]
        for use in known[0]:
            given, more = _given(site.node, function, use.parameter)
            if use.threaded is threaded and given is not None and self._may_be_function(given, site):
                made = ast.copy_location(ast.Call(given, more if use.rest else [], []), site.node)
                yield replace(site, node=made, awaited=use.awaited)

    def _may_be_function(self, node: ast.expr, site: CallSite) -> bool:
        if isinstance(node, ast.Call):
            return last_name(node.func) == "partial"
        if isinstance(node, ast.Name):
            found = self._resolver.binding(node.id, site.scope)
            return found is not None and found[0][-1].kind in {Kind.FUNCTION, Kind.IMPORT}
        return isinstance(node, ast.Attribute)

    def _uses_of(self, function: Function) -> Iterator[Use]:
        kept = {
            parameter.arg
            for parameter, _ in function.parameters
            if [binding.kind for binding in function.bindings.get(parameter.arg, ())] == [Kind.PARAMETER]
        }
        rest = function.node.args.vararg
        for site in function.calls if kept else ():
            called, threaded, given = site.node.func, False, site.node.args
            if not (isinstance(called, ast.Name) and called.id in kept):
                called, *given = handed_to_thread(self._resolver, site) or [called]
                threaded = called is not site.node.func
                if isinstance(called, ast.Call) and last_name(called.func) == "partial" and called.args:
                    called, *given = called.args
            if isinstance(called, ast.Name) and called.id in kept and (threaded or not site.deferred):
                passes = rest is not None and any(
                    isinstance(one, ast.Starred) and last_name(one.value) == rest.arg for one in given
                )
                yield Use(called.id, threaded, site.awaited and not threaded, passes)


def _given(call: ast.Call, function: Function, parameter: str) -> tuple[ast.expr | None, list[ast.expr]]:
    """What a call gives to a parameter, and what it gives beyond all of them."""
    positions = [one.arg for one in (*function.node.args.posonlyargs, *function.node.args.args)]
    if function.owner is not None and not function.decorated("staticmethod"):
        positions = positions[1:]
    named = next((keyword.value for keyword in call.keywords if keyword.arg == parameter), None)
    passed = dict(zip(positions, call.args, strict=False))
    return named or passed.get(parameter), call.args[len(positions) :]
