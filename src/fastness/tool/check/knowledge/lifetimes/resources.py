"""Things that hold connections: which calls make one, and which names something closes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from fastness.tool.check.knowledge.facts import callers, imports
from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.external import canonical
from fastness.tool.project.names.values import ClassValue, External, FunctionValue
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function, Scope, argument, last_name, values
from fastness.tool.project.source.walk import mentions, walk

_RESOURCE = re.compile(
    r"sqlalchemy\.(?:Engine|ext\.asyncio\.AsyncEngine)\(\)|redis\.(?:asyncio\.)?(?:Redis|ConnectionPool)\(\)|httpx2?\.(?:Async)?Client\(\)"
    r"|aiohttp\.ClientSession\(\)|pymongo\.MongoClient\(\)|motor\.motor_asyncio\.AsyncIOMotorClient\(\)|asyncpg\.create_pool\(\)"
    r"|redis\.asyncio\.(?:from_url|BlockingConnectionPool)\(\)|aiokafka\.\w+\(\)|pymongo\.AsyncMongoClient\(\)"
    r"|openai\.(?:Async)?(?:Azure)?OpenAI\(\)|anthropic\.(?:Async)?Anthropic\(\)|groq\.(?:Async)?Groq\(\)"
    r"|elasticsearch\.(?:Async)?Elasticsearch\(\)|qdrant_client\.(?:Async)?QdrantClient\(\)|aiogram\.Bot\(\)"
    r"|neo4j\.(?:Async)?GraphDatabase\.driver\(\)|databases\.Database\(\)"
)
_CLOSES = (
    "close", "aclose", "dispose", "disconnect", "shutdown", "close_all", "wait_closed", "__aexit__", "__exit__", "stop", "quit",
    "close_connection_pool",
)  # fmt: skip
_CLOSED = re.compile(rf"\.(?:{'|'.join(_CLOSES)})\b")
_BEFORE = re.compile(r"(?:[\w.]|\[[^\]\n]*\]|\([^()\n]*\))+$")
_CLOSED_BY = re.compile(r"(?:clos\w+|dispos\w+|disconnect\w*|shutdown\w*|stop\w*)\(([^\n()]{1,80})\)")
_WORD = re.compile(r"\w+$")
_MAKES_SESSIONS = frozenset({"sessionmaker", "async_sessionmaker", "scoped_session", "async_scoped_session"})
_CACHED = re.compile(r"cache|singleton", re.IGNORECASE)
_NEAR = 4  # lines in which a loop begins before it closes
_BEHIND = 60  # characters after which a comprehension says what it is over
# `async with client:` and `enter_async_context(client)` close what they are given by name.
_CLOSED_BY_CONTEXT = re.compile(r"(?:\bwith |enter_(?:async_)?context\()([\w.]+)(?: as \w+)?[:),]")


def makes(called: External) -> bool:
    """Calling this gives something that must be closed."""
    return _made_by(called.path) or called.path == "celery.Celery"


@cache
def _made_by(path: str) -> bool:
    return _RESOURCE.fullmatch(canonical(f"{path}()")) is not None


def resource(service: Service, call: ast.expr | None, scope: Scope) -> str | None:
    """What a call makes that must be closed, None when it makes nothing of the kind."""
    made = call.value if isinstance(call, ast.Await) else call
    if not isinstance(made, ast.Call) or last_name(made.func) == "execution_options":  # another view of the same pool
        return None
    if any(one.arg == "connection_pool" or last_name(one.value) == "NullPool" for one in made.keywords):
        return None  # another's connections, or none that stay open
    for value in service.resolver.infer(made, scope):
        if not isinstance(value, External) or not _RESOURCE.fullmatch(value.path):
            continue
        if (value.call is not None and value.call[0] is made) or _is_fresh(service, made, value, scope):
            made_as = value.path.strip("()").rpartition(".")[2]
            return "Redis" if made_as == "from_url" else made_as
    return None


def under(value: ast.expr) -> Iterator[ast.expr]:
    """What an expression puts under a name, and what only its sessions have: `sessionmaker(bind=create_engine(url))`."""
    for one in values(value):
        yield one
        given = argument(one, "bind", 0) if isinstance(one, ast.Call) and last_name(one) in _MAKES_SESSIONS else None
        if given is not None:
            yield from under(given)


def is_entered(function: Function, name: str) -> bool:
    """The function enters it, or gives it to an exit stack, by name; or hands it to an object that may close it."""
    for node in walk(function.node):
        if isinstance(node, ast.withitem) and mentions(node.context_expr, {name}):
            return True
        if isinstance(node, ast.Call) and any(isinstance(given, ast.Name) and given.id == name for given in node.args):
            return True
    return False


def parts(making: Function) -> Iterator[tuple[str, ast.Call]]:
    """What a constructor makes for its object: the names, and the calls."""
    for node in making.of(ast.Assign):
        target = node.targets[0]
        if isinstance(target, ast.Attribute) and isinstance(node.value, ast.Call):
            yield target.attr, node.value


def constructors(service: Service, value: ast.expr, module: Module) -> Iterator[Function]:
    """How an object of the project is made that the module makes itself."""
    if isinstance(value, ast.Call) and last_name(value.func)[:1].isupper():
        for one in service.resolver.infer(value.func, module):
            making = service.resolver.method(one.definition, "__init__") if isinstance(one, ClassValue) else None
            if making is not None:
                yield making


def is_cached(function: Function) -> bool:
    """A decorator keeps what the function gives: `@lru_cache`."""
    return any(_CACHED.search(ast.unparse(decorator)) for decorator in function.decorators)


def cached(service: Service, module: Module) -> Iterator[tuple[Function, ast.Return, str]]:
    """What functions make once and a cache keeps, where nothing closes what they give: `@lru_cache def get_redis(): ...`."""
    for function in module.functions:
        if function.parent is not module or not function.decorated("lru_cache", "cache") or function.is_generator:
            continue
        for node in function.of(ast.Return):
            what = resource(service, node.value, function)
            if what is not None and not is_closed(service, function.name, module) and not _is_closed_as(service, function):
                yield function, node, what
                break


def _is_closed_as(service: Service, function: Function) -> bool:
    """It is closed under the name that somebody gave it: `client = get_client()`, and later `await client.aclose()`."""
    given = re.compile(rf"(\w+)(?: as)?\s*=\s*(?:await )?(?:\w+\.)?{function.name}\(")
    users = (module for module in service.project.service if module.mentions(function.name))
    return any(is_closed(service, matched[1], user) for user in users for matched in given.finditer(user.text))


def broker(service: Service, call: ast.expr | None, scope: Scope) -> str | None:
    """A call makes a Celery app, which holds a pool of connections to the broker once it is used."""
    is_made = isinstance(call, ast.Call) and "celery.Celery" in service.resolver.paths(call.func, scope)
    return "Celery" if is_made else None


def _is_fresh(service: Service, call: ast.Call, result: External, scope: Scope) -> bool:
    """The called function of the project makes what it returns, `make_client()`, and does not keep it to give it again."""
    for value in service.resolver.infer(call.func, scope):
        if not isinstance(value, FunctionValue):
            continue
        function = value.definition
        service.reading.body(function)
        if is_cached(function) and isinstance(scope, Function):
            continue  # only the first of its callers makes it
        fresh = {id(site.node) for site in function.calls} - {id(node.value) for node in _keeping(function)}
        # Where the function says what it returns, its own `return`s say where that was made.
        returned = (result,) if result.call is not None else _returned(service, function)
        if any(one.call is not None and id(one.call[0]) in fresh and one == result for one in returned):
            return True
    return False


def _keeping(function: Function) -> Iterator[ast.Assign]:
    """What a function puts where the next call of it finds it."""
    for node in function.of(ast.Assign):
        if any(not isinstance(one, ast.Name) or one.id in function.globals for one in node.targets):
            yield node


def _returned(service: Service, function: Function) -> Iterator[External]:
    for node in function.of(ast.Return):
        yield from (value for value in service.resolver.infer(node.value, function) if isinstance(value, External))


def is_closed(service: Service, name: str, module: Module | None = None) -> bool:
    """Something calls `close` on a thing of this name, hands that on, or gives it to a function that closes.

    Args:
        module: where the name is defined; then only this file and those that import it count. Objects are reached in more ways.
    """
    known = _closed(service)
    for user in service.project.service:
        if not user.mentions(name) or (module is not None and not _knows(service, user, module, name)):
            continue
        names = known.get(user)
        if names is None:
            names = known[user] = _closed_in(service, user)
        own = name in names and (module is None or user is module or name in user.bindings)  # or it is a local of that name
        if own or f".{name}" in names:
            return True
    return False


@known_once
def _closed(_: Service) -> dict[Module, set[str]]:
    """For each module, as far as somebody has asked, the words of what is closed in it."""
    return {}


def _closed_in(service: Service, module: Module) -> set[str]:
    """The words of what is closed; those that follow a dot with it. What nobody calls closes nothing."""
    text = module.text
    closed: list[str] = []
    for pattern in (_CLOSED_BY_CONTEXT, _CLOSED_BY, _CLOSED):
        for matched in pattern.finditer(text):
            if callers.is_in_unused(service.project, module, matched.start()):
                continue
            if pattern is _CLOSED:
                closed += _BEFORE.findall(text[text.rfind("\n", 0, matched.start()) + 1 : matched.start()])
                closed += _tables(text, matched.start())
            else:
                closed.append(matched[1])
    return {word for one in closed for word in re.findall(r"\.?\w+", one)}


def _tables(text: str, end: int) -> list[str]:
    """The tables of which each element is closed: `for one in engines.values(): await one.dispose()`, or a comprehension."""
    one = _WORD.search(text, max(0, end - 60), end)
    begin = end
    for _ in range(_NEAR):
        begin = max(text.rfind("\n", 0, begin), 0)
    return re.findall(rf"\bfor \w*?,? ?{one[0]} in ([\w.]+)", text[begin : end + _BEHIND]) if one is not None else []


def _knows(service: Service, user: Module, module: Module, name: str) -> bool:
    """The file defines the name, imports it, or imports what defines it or passes it on."""
    if user is module:
        return True
    edges = imports.graph(service.project)
    for edge in edges.get(user, ()):
        if edge.imported is module:
            return True
        if edge.member in {name, None} and any(further.imported is module for further in edges.get(edge.imported, ())):
            return True
    return False
