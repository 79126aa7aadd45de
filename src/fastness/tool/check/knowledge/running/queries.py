"""Calls that ask a database, and the functions that do little else: one query for all items could stand in their place."""

from __future__ import annotations

import ast
import re

from fastness.tool.check.knowledge.facts.size import size
from fastness.tool.check.knowledge.lifetimes.sessions import CONNECTION
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import External
from fastness.tool.project.source.symbols import CallSite, Function, handed_on
from fastness.tool.project.source.walk import own, walk

_RAW = re.compile(rf"{CONNECTION}(?:\.cursor\(\))?\.(?:execute|fetch|fetchrow|fetchval|execute_fetchall)")
_CHANGES = re.compile(r"\s*(?:insert|update|delete|replace|create|drop|alter|pragma)\b", re.IGNORECASE)
_QUERY = re.compile(
    r"(?:sqlalchemy\.orm\.(?:Session|scoped_session)|sqlalchemy\.ext\.asyncio\.AsyncSession)\(\)\.(?:query|execute|exec|scalars?|get|get_one|refresh)"
    r"|django\.db\.models\.Model\.objects(?:\.\w+\(\))*\.a?(?:get|get_or_create|first|last|latest|count|exists|aggregate)"
)
# Stores that are asked without a session: each of these calls is a round trip.
_STORES = re.compile(
    r"(?:motor\.motor_asyncio\.AsyncIOMotor(?:Client|Database|Collection)|pymongo\.(?:Async)?MongoClient"
    r"|pymongo\.(?:asynchronous\.)?(?:database\.(?:Async)?Database|collection\.(?:Async)?Collection))\(\)\.(?:\w+\.)*"
    r"(?:(?:find_one|insert|update|delete|replace|count)_?\w*|distinct|find\(\)(?:\.\w+\(\))*\.to_list)"
    r"|beanie\.Document\.(?:\w+\(\)\.)*(?:get|find_one|find_many|first_or_none|to_list|count|exists|delete|update|insert_one)"
    r"|supabase\.(?:Async)?Client\(\)\.(?:table|from_|rpc|schema)\(\)(?:\.\w+(?:\(\))?)*\.execute"
)
# Tortoise asks when what a model gives is awaited, whatever was the last to be said of it.
_AWAITED = re.compile(r"tortoise\.models\.Model\.\w+(?:\(\)\.\w+)*")
_LOOKUP = 12  # statements
_LONGEST = 40  # statements of what is still about one item, and no job of its own
_WRITES = re.compile(
    r"_*(?:commit|flush|add|delete|update|insert|merge|create|save|send|post|publish|enqueue|remove|clean|sync|set(?=_)|apply|reconcile|notify)(?![a-z])"
)


def asks(service: Service, site: CallSite) -> bool:
    """The call is a query."""
    paths = [value.path for value in service.resolver.targets(site) if isinstance(value, External)]
    if any(map(_RAW.fullmatch, paths)):
        statement = next(iter(handed_on(site.node)), None)
        return statement is None or not _CHANGES.match(literals.beginning(service.resolver, statement, site.scope))
    return any(_QUERY.fullmatch(path) or asks_store(path, site) for path in paths)


def asks_store(path: str, site: CallSite) -> bool:
    """The call asks a store that no session stands before: a mapper's model, a document, a collection or a table."""
    return bool(_STORES.fullmatch(path)) or (site.awaited and bool(_AWAITED.fullmatch(path)))


def looks_up(service: Service, target: Function, steps: int = 3) -> CallSite | None:
    """The query of a function that does little else, as of a repository's `get`.

    Args:
        steps: how many such functions may call each other until the last one asks.
    """
    if not _only_reads(service, target) or size(target).statements > _LOOKUP:
        return None
    query = next((site for site in target.calls if not site.looped and asks(service, site)), None)
    if query is not None or steps == 1:
        return query
    further = (looks_up(service, edge.target, steps - 1) for edge in service.graph.edges(target) if not edge.site.looped)
    return next((site for site in further if site is not None), None)


def asks_first(service: Service, target: Function) -> CallSite | None:
    """The query with which a longer function begins, whatever it is given: one for all items could be made before a loop."""
    if not _only_reads(service, target) or size(target).statements > _LONGEST:
        return None
    sites = {id(site.node): site for site in target.calls if not site.looped}
    given = {parameter.arg for parameter, _ in target.parameters} - {"self", "cls"}
    for statement in target.body:
        if isinstance(statement, ast.If | ast.For | ast.AsyncFor | ast.While | ast.Return | ast.Match):
            return None
        nodes = list(own([statement]))
        for site in (sites[id(node)] for node in nodes if id(node) in sites):
            if asks(service, site):
                session = {node.id for node in walk(site.node.func) if isinstance(node, ast.Name)}
                asked_for = any(isinstance(node, ast.Name) and node.id in given - session for node in nodes)
                return site if asked_for else None
        if isinstance(statement, ast.Assign) and any(isinstance(node, ast.Name) and node.id in given for node in nodes):
            given |= {node.id for node in statement.targets if isinstance(node, ast.Name)}
    return None


def _only_reads(service: Service, target: Function) -> bool:
    service.reading.body(target)
    if not target.module.is_service or target.is_generator or not target.of(ast.Return):
        return False
    return not any(_WRITES.match(name) for name in (target.name, *(site.name for site in target.calls)))
