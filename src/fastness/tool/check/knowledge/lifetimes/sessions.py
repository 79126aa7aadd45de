"""Database sessions: which values are one, which calls end a transaction, and which parameters carry the request's own.

A connection of a driver is one as well: it has one transaction, of whoever works with it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from fastness.tool.project import Service
from fastness.tool.project.names.values import External, Instance, Value
from fastness.tool.project.source.symbols import CallSite, Class, Function, Kind
from fastness.tool.project.source.walk import walk

SESSIONS = frozenset({
    "sqlalchemy.orm.Session()", "sqlalchemy.ext.asyncio.AsyncSession()", "sqlalchemy.Connection()",
    "sqlalchemy.ext.asyncio.AsyncConnection()",
})  # fmt: skip
# A connection of a driver, however it was made or taken from a pool.
CONNECTION = (
    r"(?:psycopg\.(?:Async)?Connection|psycopg2\.(?:extensions\.)?connection|psycopg2?_?pool\.\w+\(\)\.(?:connection|getconn)"
    r"|psycopg2\.pool\.\w+\(\)\.getconn|asyncpg\.(?:connect|(?:connection\.)?Connection|pool\.PoolConnectionProxy)"
    r"|asyncpg\.(?:create_pool|(?:pool\.)?Pool)\(\)\.acquire|(?:sqlite3|aiosqlite)\.(?:Connection|connect)"
    r"|(?:pymysql|MySQLdb|aiomysql|asyncmy|mysql\.connector)\.(?:connect|connections\.Connection|Connection))\(\)"
)
_CONNECTION = re.compile(CONNECTION)
_COMMITS = {f"{session}.commit" for session in (*SESSIONS, "sqlalchemy.orm.scoped_session()")}
_BEGINS = {
    "sqlalchemy.orm.Session().begin()", "sqlalchemy.ext.asyncio.AsyncSession().begin()", "sqlalchemy.Engine().begin()",
    "sqlalchemy.ext.asyncio.AsyncEngine().begin()", "sqlalchemy.ext.asyncio.async_sessionmaker().begin()",
}  # fmt: skip
_ENTERED_COMMITS = re.compile(
    r"psycopg\.(?:Async)?Connection\.connect|psycopg\.connect|psycopg_pool\.(?:Async)?(?:Null)?ConnectionPool\(\)\.connection"
)
_STATE = re.compile(r"request\.state\.(?:db|session)\w*")


def is_session(values: Iterable[Value]) -> bool:
    """One of the values is a session or connection of SQLAlchemy, or a connection of a driver."""
    return any(
        isinstance(value, External) and (value.path in SESSIONS or _CONNECTION.fullmatch(value.path)) for value in values
    )


def commits(service: Service, site: CallSite) -> bool:
    """The call commits a transaction."""
    if site.name != "commit":
        return False
    paths = [value.path for value in service.resolver.targets(site) if isinstance(value, External)]
    if any(path in _COMMITS or _CONNECTION.fullmatch(path.removesuffix(".commit")) for path in paths):
        return True
    # `request.state.db.commit()`: what a middleware puts there has no type.
    called = site.node.func
    return isinstance(called, ast.Attribute) and bool(_STATE.fullmatch(ast.unparse(called.value)))


def begins(service: Service, node: ast.expr, function: Function) -> bool:
    """Leaving a `with` over this expression commits: `session.begin()`, and the connections of psycopg 3."""
    if isinstance(node, ast.Call) and any(map(_ENTERED_COMMITS.fullmatch, service.resolver.paths(node.func, function))):
        return True
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "begin":
        return False
    # The value of `sessionmaker.begin()` is the session, so what is begun is asked, not what that gives.
    of = service.resolver.infer(node.func.value, function)
    return any(isinstance(v, External) and (f"{v.path}.begin()" in _BEGINS or v.path.endswith("sessionmaker()")) for v in of)


def is_requests_own(service: Service, node: ast.expr, function: Function) -> bool:
    """A parameter that holds a session, or an attribute of one: where a request runs the function, the request's session."""
    held = node.value if isinstance(node, ast.Attribute) else node
    if not isinstance(held, ast.Name):
        return False
    found = service.resolver.binding(held.id, function)
    if found is None or not all(binding.kind is Kind.PARAMETER for binding in found[0]):
        return False
    return is_session(service.resolver.infer(node, function))


def held_by(service: Service, function: Function, receiver: Class) -> Iterator[ast.Attribute]:
    """The places where a method uses a session that its object holds: `self.session`."""
    first = next(function.parameters, None)
    if first is None:
        return
    for node in walk(function.node):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == first[0].arg
            and is_session(service.resolver.attribute(Instance(receiver), node.attr))
        ):
            yield node
