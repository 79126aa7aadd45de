"""A request changes state that belongs to the module.

Every request of a process shares the module's lists and dictionaries, and no two processes do: what one customer's request
puts there another's can read, it grows until the process ends, and with two workers half of the requests do not see it.

Keep it in the database or Redis, or in `request.state` when it is the request's own. A bounded cache is fine.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge import shared
from fastness.tool.check.knowledge.reach import from_requests
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Binding, CallSite, Function, Kind, last_name
from fastness.tool.project.walk import walk

_SETTING = (ast.Assign, ast.AugAssign)  # a tuple, because a union takes three times as long to ask
_GROWS = frozenset({"append", "extend", "add", "update", "insert", "setdefault", "appendleft"})
_SHRINKS = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard"})
_LOCKS = frozenset({"asyncio.Lock", "threading.Lock"})
_HARMLESS = (
    "cache",
    "memo",
    "registry",
    "lock",
    "pending",
    "tasks",
    "seen",
    "ttl",
    "connections",
    "subscribers",
    "handlers",
    "clients",
    "logged",
    "warned",
    "hits",
    "misses",
    "sequence",
)


@rule(
    severity=Severity.WARNING,
    practice="10.1",
    help="keep it in the database or Redis: processes do not share memory, requests do",
)
def check(service: Service) -> Iterator[Found]:
    reached = from_requests(service) | _beside_routes(service)
    places = {function.module for function in reached}
    for module in service.project.service:
        if module not in places:
            continue
        names = {
            name: bindings
            for name, bindings in module.bindings.items()
            if len(bindings) == 1 and _is_collection(bindings[0]) and not any(word in name.lower() for word in _HARMLESS)
        }
        changed, shrunk = _changes(module) if names else ({}, set())
        for name, bindings in names.items():
            if name in shrunk:
                continue  # bounded by whoever takes things out
            hits = [(f, node) for f, node in changed.get(name, ()) if f in reached and name not in f.bindings]
            if hits:
                function, node = hits[0]
                message = (
                    f"{function.qualified} changes {name}, which every request of this process shares and no other process sees"
                )
                evidence = [proof(module, bindings[0].node, f"{name} is the module's")]
                evidence += [proof(f, n, "changed here too") for f, n in hits[1:4]]
                yield found(function, node, message, *evidence, count=len(hits))
        for function in module.functions:
            if function in reached:
                yield from _sets(service, function)
        yield from _asks_locks(service, module, reached)


def _sets(service: Service, function: Function) -> Iterator[Found]:
    """What a request gives to names of modules, and to attributes of what modules hold: the next one has it, too."""
    targets = [
        (node, target)
        for node in function.nodes
        if isinstance(node, _SETTING)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if shared.is_outside(function, target) and not any(word in last_name(target).lower() for word in _HARMLESS)
    ]
    own = shared.of_the_request(function) if targets else set()
    places: dict[str, ast.AST] = {}
    for node, target in sorted(targets, key=lambda one: one[0].lineno):
        given = isinstance(node, ast.AugAssign) or any(isinstance(n, ast.Name) and n.id in own for n in walk(node.value))
        lasting = given and (isinstance(target, ast.Name) or shared.is_shared(service, function, target))
        if lasting and not shared.is_first(function, node, target):
            places.setdefault(ast.unparse(target), node)
    for what, place in places.items():
        yield found(function, place, f"{function.qualified} sets {what}, which every request of this process shares")


def _asks_locks(service: Service, module: Module, reached: set[Function]) -> Iterator[Found]:
    """`if lock.locked():` says what this process does: another may do the same."""
    sites = [site for site in module.calls_by_name.get("locked", ()) if site.scope in reached]
    locks = dict(_locks(service, module)) if sites else {}
    asking = [
        site
        for site in sites
        if service.resolver.calls(site, *(f"{lock}().locked" for lock in _LOCKS)) or _names(site) & locks.keys()
    ]
    if asking:
        evidence = [proof(module, node, "a lock of this process") for node in list(locks.values())[:3]]
        evidence += [proof(site.scope, site.node, "and here") for site in asking[1:4]]
        message = "whether a lock is held says what this process does, and nothing of the others"
        yield found(asking[0].scope, asking[0].node, message, *evidence, count=len(asking))


def _locks(service: Service, module: Module) -> Iterator[tuple[str, ast.AST]]:
    """The names under which a module has locks of `asyncio` or `threading`, or tables of such."""
    for name, bindings in module.bindings.items():
        for binding in bindings:
            given = (one for one in (binding.annotation, binding.value) if one is not None)
            kinds = (node for one in given for node in walk(one) if isinstance(node, ast.Name | ast.Attribute))
            if any(service.resolver.paths(node, module) & _LOCKS for node in kinds):
                yield name, binding.node


def _names(site: CallSite) -> set[str]:
    """The names of what is asked, and of what its names were given here: `table` too after `lock = table[key]`."""
    names = {node.id for node in walk(site.node.func) if isinstance(node, ast.Name)}
    given = [binding.value for name in names for binding in site.scope.bindings.get(name, ()) if binding.value is not None]
    return names | {node.id for value in given for node in walk(value) if isinstance(node, ast.Name)}


def _beside_routes(service: Service) -> set[Function]:
    """Functions of files with endpoints that are handed over instead of called: validators, callbacks."""
    found_: set[Function] = set()
    for module in {route.handler.module for route in service.routes}:
        handed = {a.id for site in module.all_calls for a in site.node.args if isinstance(a, ast.Name)}
        annotations = (
            p.annotation for function in module.functions for p, _ in function.parameters if p.annotation is not None
        )
        calls = (node for annotation in annotations for node in walk(annotation) if isinstance(node, ast.Call))
        handed |= {a.id for call in calls for a in call.args if isinstance(a, ast.Name)}
        found_ |= {function for function in module.functions if function.name in handed}
    return found_


def _is_collection(binding: Binding) -> bool:
    value = binding.value
    if binding.kind is not Kind.ASSIGN:
        return False
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in {"list", "dict", "set", "defaultdict"} and not value.keywords
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _changes(module: Module) -> tuple[dict[str, list[tuple[Function, ast.AST]]], set[str]]:
    """What the functions of a file put into collections, by the collection's name, and the names that they take out of."""
    changed: dict[str, list[tuple[Function, ast.AST]]] = {}
    shrunk: set[str] = set()
    for function in module.functions:
        for site in function.calls:
            called = site.node.func
            if isinstance(called, ast.Attribute) and called.attr in _GROWS:
                changed.setdefault(_name(called.value), []).append((function, site.node))
            elif isinstance(called, ast.Attribute) and called.attr in _SHRINKS:
                shrunk.add(_name(called.value))
        for node in walk(function.node):
            if isinstance(node, _SETTING):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in {_name(target.value) for target in targets if isinstance(target, ast.Subscript)}:
                    changed.setdefault(name, []).append((function, node))
            elif isinstance(node, ast.Delete):
                shrunk.update(_name(target.value) for target in node.targets if isinstance(target, ast.Subscript))
    return changed, shrunk


def _name(node: ast.expr) -> str:
    """The name itself, or of what this is an item; empty for anything else."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()
        failures = []
        totals = {"revenue": 0}

        def count(amount):
            totals["revenue"] += amount  # found

        @app.post("/")
        def create(amount: int):
            failures.append(amount)  # found
            count(amount)
    """),
    Bad("""
        # file: app/main.py
        import asyncio
        from typing import Annotated
        import openai
        from fastapi import FastAPI, Request
        from pydantic import BeforeValidator
        from app.texts import texts

        app = FastAPI()
        served = 0
        refused = []
        imports = {"daily": asyncio.Lock()}

        def known(value):
            refused.append(value)  # found
            return value

        @app.middleware("http")
        async def spoken(request: Request, call_next):
            language = request.headers.get("accept-language")
            if texts.language != language:
                texts.language = language  # found
            return await call_next(request)

        @app.get("/answers")
        def answer(key: str, value: Annotated[str, BeforeValidator(known)]):
            global served
            served += 1  # found
            openai.api_key = key  # found

        @app.post("/imports/{name}")
        async def start(name: str):
            lock = imports[name]
            if lock.locked():  # found
                return False
            async with lock:
                return True
        # file: app/texts.py
        class Texts:
            language = "en"

        texts = Texts()
    """),
    Bad("""
        from asyncio import Lock
        from fastapi import FastAPI

        app = FastAPI()
        locks: dict[str, Lock] = {}

        @app.post("/exports/{name}")
        async def start(name: str):
            lock = locks.setdefault(name, Lock())
            return lock.locked()  # found
    """),
    Good(
        """
        # file: app/main.py
        import openai
        from fastapi import FastAPI
        from app.config import settings
        from app.context import context

        app = FastAPI()
        model = table = None

        class Loader:
            def load(self, name):
                self.name = name
                return self

        @app.get("/answers")
        def answer(name: str):
            global model
            if model is None:
                model = Loader().load(name)
            openai.api_key = settings.key
            context.name = name
            loader = Loader()
            loader.name = name
            return model, prices(name)

        def prices(name):
            global table
            if table:
                return
            table = Loader().load(name)
        # file: app/config.py
        class Settings:
            key = "k"

        settings = Settings()
        # file: app/context.py
        from threading import local

        class Context(local): ...

        context = Context()
    """,
        "what is made once, what is the same for all requests, what each thread has for itself, and the request's own objects",
    ),
    Good(
        """
        import time
        import httpx
        from fastapi import FastAPI
        from app.locks import Account, RedisLock

        app = FastAPI()
        LOCKED_MESSAGE = "Locked"
        jobs = RedisLock("jobs")
        _token, _expires = "", 0.0

        def token():
            global _token, _expires
            now = time.time()
            if _expires < now:
                answer = httpx.post("https://example.org/token", timeout=5).json()
                _token = answer["access_token"]
                _expires = now + answer["expires_in"]
            return _token

        @app.get("/prices/{number}")
        def prices(number: int, limit: int):
            account = Account(number)
            if account.locked() or jobs.locked():
                return LOCKED_MESSAGE
            return token()
        # file: app/locks.py
        class Account:
            def __init__(self, number):
                self.number = number

            def locked(self):
                return self.number == 1

        class RedisLock(Account): ...
    """,
        "a token that is asked for anew when it is old, and locks that all processes see",
    ),
    Good("""
        from fastapi import FastAPI

        app = FastAPI()
        NAMES = {"a": 1}
        rates_cache = {}
        recent = []
        known = []

        def load():
            known.append(1)

        @app.get("/")
        def read():
            totals = []
            totals.append(NAMES["a"])
            rates_cache["x"] = 1
            recent.append(1)
            del recent[0]
            return totals
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()
        EXPORTERS = {}

        def exporter(name):
            def register(function):
                EXPORTERS[name] = function
                return function
            return register

        @exporter("csv")
        def csv(rows): ...

        @app.get("/export/{name}")
        def export(name: str):
            return EXPORTERS[name]([])
    """,
        "filled while modules are imported, when there is no request yet",
    ),
    Good(
        """
        from contextvars import ContextVar
        from cachetools import TTLCache
        from fastapi import FastAPI

        app = FastAPI()
        quotes = TTLCache(maxsize=100, ttl=60)
        notes = ContextVar("notes", default=None)
        rows = []

        @app.get("/quotes/{name}")
        def quote(name: str):
            rows = []
            rows.append(name)
            quotes[name] = len(rows)
            notes.set([*(notes.get() or []), name])
            return quotes[name]
    """,
        "bounded by a lifetime, kept per context, or a local that has the module's name",
    ),
]
