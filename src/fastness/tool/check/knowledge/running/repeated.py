"""What the turns of a loop ask for: each for something of its own, or the same again, and not only until it is found."""

from __future__ import annotations

import ast

from fastness.tool.check.knowledge.facts.iteration import Loop, body, ends, is_portion, targets
from fastness.tool.check.knowledge.running.loop import missing
from fastness.tool.project.source.symbols import CallSite, handed_on, last_name
from fastness.tool.project.source.walk import mentions, own, walk

_STATEMENT = frozenset({"execute", "exec"})
_IDENTITIES = frozenset({"id", "_id", "uuid", "pk"})


def asks_for_each(loop: Loop, site: CallSite) -> bool:
    """What is called for each asks for what the loop is at, and not only until the first is found, or once for each."""
    return _feeds(loop, site) and not _spared(loop, site) and not _looks_for_first(loop, site.node)


def asks_each_time(loop: Loop, site: CallSite) -> bool:
    """Each turn asks: for what the loop is at, or the same again, which one query before the loop would have told."""
    if _is_for_one(loop, site.node):
        return False
    if site.name in _STATEMENT and _runs_what_it_is_at(loop, site):
        return False
    if _depends_on(loop, site.node) or _feeds(loop, site):
        return True
    return isinstance(loop, ast.For) and not (_spared(loop, site) or ends(loop) or is_portion(loop, site.node))


def _runs_what_it_is_at(loop: Loop, site: CallSite) -> bool:
    """Every turn runs another statement of a list, as of a script: `execute(text(statement))`."""
    run = site.argument("statement", 0)
    is_text = isinstance(run, ast.Call) and last_name(run) == "text"
    if isinstance(run, ast.Call) and is_text:
        run = next(iter(run.args), None)
    if isinstance(run, ast.Name):
        assigned = [node for node in own(body(loop)) if isinstance(node, ast.Assign)]
        made = [node.value for node in assigned if ast.unparse(node.targets[0]) == run.id]
        run = made[0] if len(made) == 1 else run
    while is_text and isinstance(run, ast.Call | ast.Attribute):
        run = run.func if isinstance(run, ast.Call) else run.value
    return isinstance(run, ast.Name) and run.id in targets(loop)


def _spared(loop: Loop, site: CallSite) -> bool:
    """What was looked up is remembered, `if id not in known: ...`, or the loop ends with it: `return get(id)`."""
    for node in own(body(loop)):
        if isinstance(node, ast.If) and any(inner is site.node for inner in walk(node)):
            remembers = any(isinstance(op, ast.NotIn) for n in walk(node.test) for op in _operators(n))
            if remembers or isinstance(node.body[-1], ast.Return | ast.Break):
                return True
        if isinstance(node, ast.Return) and any(inner is site.node for inner in walk(node)):
            return True
    return False


def _operators(node: ast.AST) -> list[ast.cmpop]:
    return node.ops if isinstance(node, ast.Compare) else []


def _depends_on(loop: Loop, query: ast.Call) -> bool:
    """The query asks for what the loop is at."""
    names = targets(loop)
    statement = next((s for s in body(loop) if any(node is query for node in walk(s))), None)
    return statement is not None and mentions(statement, names)


def _feeds(loop: Loop, site: CallSite) -> bool:
    """What the query asks for is what the loop is at, or made from that."""
    names = targets(loop)
    made = names | {
        target.id
        for node in own(body(loop))
        if isinstance(node, ast.Assign) and mentions(node.value, names)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return any(mentions(argument, made) for argument in handed_on(site.node))


def _looks_for_first(loop: Loop, call: ast.Call) -> bool:
    """What the call gives is tried, and the loop ends with the first that will do; not with one that is missing."""
    nodes = list(own(body(loop)))
    assigned = [node for node in nodes if isinstance(node, ast.Assign) and any(one is call for one in walk(node.value))]
    names = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    return bool(names) and any(
        isinstance(node, ast.If)
        and isinstance(node.body[-1], ast.Return | ast.Break)
        and mentions(node.test, names)
        and not any(missing(node.test))
        for node in nodes
    )


def _is_for_one(loop: Loop, call: ast.Call) -> bool:
    """Only the turn that is at one thing asks: `if order.id == wanted: ...`."""
    tests = (node for node in own(body(loop)) if isinstance(node, ast.If) and any(one is call for one in own(node.body)))
    return any(
        isinstance(part, ast.Attribute) and part.attr in _IDENTITIES and mentions(part, targets(loop))
        for branch in tests
        if isinstance(branch.test, ast.Compare) and isinstance(branch.test.ops[0], ast.Eq)
        for part in (branch.test.left, *branch.test.comparators)
    )
