"""What a function does to a client's value before it uses it: which tests and calls are checks, which only choose a way."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function, constant, handed_on, last_name
from fastness.tool.project.source.walk import walk

CHECKS = re.compile(
    r"valid|safe|secure|sanit|check|allow|verify|clean|is_relative_to|commonpath|fullmatch|^match$|^search$|basename|slug|assert|ssrf|guard"
    r"|trusted|whitelist|isalnum|isidentifier|isdigit|isdecimal|^ip_address$|^UUID$|^int$|block|forbid|reject|require",
    re.IGNORECASE,
)
_ENDING = re.compile(r"splitext|\.r?split\(|\.r?partition\(|\.endswith\(|suffix|content_type|\.guess_type\(")
_TIDIES = frozenset({"strip", "lstrip", "rstrip", "lower", "upper", "title", "casefold", "capitalize", "str", "isinstance"})
_TRAVERSAL = re.compile(r"\.\.[/\\]?|[/\\\0]")  # whoever looks for these thinks of where a path leads
_ANYTHING = re.compile(r"\((?:\?P<\w+>)?(?:\.[*+]|\[\^)")  # a group that holds whatever stands there


class Checks:
    """The checks of one service, each function's read once.

    Args:
        names: calls that decide, besides those that everybody would name so.
        uses: the calls of a function that use the value, or lead to one that does.
    """

    def __init__(self, service: Service, names: frozenset[str], uses: Callable[[Function], set[ast.AST]]) -> None:
        self._service = service
        self._names = names
        self._uses = uses
        self._known: dict[Function, list[ast.expr]] = {}

    def subjects(self, function: Function) -> list[ast.expr]:
        """What a function compares with lists and hands to what checks."""
        known = self._known.get(function)
        if known is None:
            known = self._known[function] = list(self._subjects(function))
        return known

    def _subjects(self, function: Function) -> Iterator[ast.expr]:
        targets = {edge.site.node: edge.target for edge in self._service.graph.edges(function)}
        ways = self._ways(function)
        for node in function.of(ast.Compare, ast.Call):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
                if constant(node.left) != "." and not (node in ways and _only_chooses(node, *ways[node])):
                    yield from (node.left, *node.comparators)
            elif isinstance(node, ast.Call):
                called = last_name(node.func)
                if not CHECKS.search(called) and called not in self._names:
                    continue
                if node in targets and (_looks_at_ending(targets[node]) or _only_tidies(targets[node])):
                    continue
                if (node in ways and _only_begins(node)) or (called in {"match", "search"} and _takes_apart(node)):
                    continue
                if isinstance(node.func, ast.Attribute):
                    yield node.func.value
                yield from handed_on(node)

    def _ways(self, function: Function) -> dict[ast.AST, tuple[bool, bool]]:
        """The tests of which neither way ends without a use, with whether there is one where they hold, and where not."""
        uses: set[ast.AST] | None = None
        found: dict[ast.AST, tuple[bool, bool]] = {}
        for outer in function.of(ast.If):
            uses = self._uses(function) if uses is None else uses
            held, otherwise = _used(outer.body, uses), _used(outer.orelse, uses)
            if not (_ends(outer.body) and not held) and not (_ends(outer.orelse) and not otherwise):
                found.update(dict.fromkeys(walk(outer.test), (held, otherwise)))
        return found


def _used(body: list[ast.stmt], uses: set[ast.AST]) -> bool:
    return bool(uses) and any(node in uses for statement in body for node in walk(statement))


def _ends(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break)


def _only_chooses(test: ast.Compare, held: bool, otherwise: bool) -> bool:
    """A part that is looked for in the value; or a list whose members are not what is used."""
    looked_for = constant(test.left)
    if isinstance(looked_for, str):
        return not _TRAVERSAL.fullmatch(looked_for)
    if isinstance(test.ops[0], ast.NotIn):
        held, otherwise = otherwise, held
    return otherwise and not held


def _only_begins(call: ast.Call) -> bool:
    """`name.startswith("/files/")` says nothing of what follows."""
    return last_name(call.func) == "startswith" and any(isinstance(one, ast.Constant) for one in call.args)


def _takes_apart(call: ast.Call) -> bool:
    """The pattern has a group that whatever the client writes matches."""
    return takes(call) is not None


def takes(call: ast.Call) -> ast.expr | None:
    """Of `re.search(r"host/(.*)", value)` the value, into which a client may write anything; None when it may not."""
    pattern = constant(call.args[0]) if len(call.args) > 1 else None
    return call.args[1] if isinstance(pattern, str) and _ANYTHING.search(pattern) else None


def is_ending(node: ast.AST) -> bool:
    """What a name ends with, or what it is said to hold: whoever looks at that has not looked at where it leads."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"scheme", "content_type", "suffix", "suffixes"}
    return isinstance(node, ast.Call | ast.Subscript) and _ENDING.search(ast.unparse(node)) is not None


def _only_tidies(function: Function) -> bool:
    """A function that is named like a check, refuses nothing, and takes nothing from what it gets but spaces and capitals."""
    if function.is_empty or function.of(ast.Raise, ast.Compare, ast.ListComp, ast.GeneratorExp, ast.For):
        return False
    return all(last_name(call) in _TIDIES for call in function.of(ast.Call)) and bool(function.of(ast.Return))


def _looks_at_ending(function: Function) -> bool:
    """A function that is named like a check, and looks at nothing of what it gets but its ending."""
    given = {parameter.arg for parameter, _ in function.parameters}
    looked = False
    pending: list[ast.AST] = list(function.node.body)
    while pending:
        node = pending.pop()
        if is_ending(node):
            looked = True
        elif isinstance(node, ast.Compare) and constant(node.left) == ".":
            continue
        elif isinstance(node, ast.Name) and node.id in given and node.id not in {"self", "cls"}:
            return False
        else:
            pending += ast.iter_child_nodes(node)
    return looked
