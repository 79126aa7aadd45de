"""A request changes state that belongs to the module.

Every request of a process shares the module's lists and dictionaries, and no two processes do: what one customer's request
puts there another's can read, it grows until the process ends, and with two workers half of the requests do not see it.

Keep it in the database or Redis, or in `request.state` when it is the request's own. A bounded cache is fine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fastness.tool.check.knowledge.facts.reach import beside_routes, from_requests
from fastness.tool.check.knowledge.lifetimes import containers, left_behind, locks, shared
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function


@rule(
    severity=Severity.WARNING,
    practice="10.1",
    help="keep it in the database or Redis: processes do not share memory, requests do",
)
def check(service: Service) -> Iterator[Found]:
    reached = from_requests(service) | beside_routes(service)
    places = {function.module for function in reached}
    for module in (one for one in service.project.service if one in places):
        for name, binding, ((function, node), *others) in containers.changed(service, module, reached):
            message = (
                f"{function.qualified} changes {name}, which every request of this process shares and no other process sees"
            )
            evidence = [proof(module, binding.node, f"{name} is the {'class' if '.' in name else 'module'}'s")]
            evidence += [proof(f, n, "changed here too") for f, n in others[:3]]
            yield found(function, node, message, *evidence, count=1 + len(others))
        for function in module.functions:
            if function in reached:
                yield from service.notes.search("left behind", function, partial(_leaves, service, function))
        yield from _asks_locks(service, module, reached)


def _leaves(service: Service, function: Function) -> Iterator[Found]:
    """What a request leaves where the next one finds it: in names of modules, on objects, and in the process."""
    for what, place in shared.sets(service, function).items():
        yield found(function, place, f"{function.qualified} sets {what}, which every request of this process shares")
    for what, place in shared.of_process(service, function):
        yield found(function, place, f"{function.qualified} changes {what}, which the whole process has one of")
    objects: dict[tuple[str, bool], list[left_behind.Put]] = {}
    for put in left_behind.puts(service, function):
        objects.setdefault((put.what.rpartition(".")[0], put.grows), []).append(put)
    for first, *others in objects.values():
        does = "puts something of each request into" if first.grows else "sets"
        after = ", and nothing takes it out" if first.grows else ""
        evidence = [proof(first.made.scope, first.made.node, "the object that they share is made here")] if first.made else []
        evidence += [proof(function, other.node, f"{other.what} too") for other in others if other.what != first.what]
        message = f"{function.qualified} {does} {first.what}, which every request of this process shares{after}"
        yield found(function, first.node, message, *evidence, count=1 + len(others))


def _asks_locks(service: Service, module: Module, reached: set[Function]) -> Iterator[Found]:
    """`if lock.locked():` says what this process does: another may do the same."""
    asking, ours = locks.asked(service, module, reached)
    if asking:
        evidence = [proof(module, node, "a lock of this process") for node in ours[:3]]
        evidence += [proof(site.scope, site.node, "and here") for site in asking[1:4]]
        message = "whether a lock is held says what this process does, and nothing of the others"
        yield found(asking[0].scope, asking[0].node, message, *evidence, count=len(asking))


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        app = FastAPI()
        failures = []
        totals = {"revenue": 0}
        def count(amount):
            totals["revenue"] += amount  # found
        class Visits:
            visits: list[str] = []
            def add(self, name):
                self.visits.append(name)  # found
        @app.post("/")
        def create(amount: int, name: str):
            failures.append(amount)  # found
            count(amount)
            Visits().add(name)
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
    Bad("""
        # file: app/main.py
        import os
        import sys
        from fastapi import FastAPI
        from app import state
        app = FastAPI()
        def note(question):
            state.rows += [question]  # found
        @app.post("/questions")
        def ask(question: str, key: str):
            note(question)
            sys.path.insert(0, "plugins")  # found
            os.environ["KEY"] = key  # found
            os.environ["TZ"] = "UTC"
            look_for_more()
        def look_for_more():
            if "more" not in sys.path:
                sys.path.append("more")
        # file: app/state.py
        rows: list = []
    """),
    Bad("""
        # file: app/main.py
        from contextlib import contextmanager
        from fastapi import Depends, FastAPI, Request
        from starlette.middleware.base import BaseHTTPMiddleware
        from app.config import Settings, get_settings
        class Attempts(BaseHTTPMiddleware):
            def __init__(self, app):
                super().__init__(app)
                self.attempts = {}
            async def dispatch(self, request: Request, call_next):
                self.attempts.setdefault(request.client.host, []).append(request.url)  # found
                return await call_next(request)
        app = FastAPI()
        app.add_middleware(Attempts)
        class Reports:
            def __init__(self):
                self.tenant = None
                self.running = {}
            async def build(self, tenant: str):
                self.tenant = tenant  # found
                return await self.rows()
            async def rows(self):
                return [self.tenant]
            def start(self, name: str):
                self.running[name] = object()  # found
            def set_language(self, language: str):
                self.language = language  # found
        reports = Reports()
        @contextmanager
        def in_mode(settings, mode):
            before = settings.mode
            settings.mode = mode  # found
            try:
                yield
            finally:
                settings.mode = before
        @app.get("/reports/{tenant}")
        async def report(tenant: str, language: str):
            reports.start(tenant)
            reports.set_language(language)
            return await reports.build(tenant)
        @app.post("/films")
        def play(request: Request, mute: bool, settings: Settings = Depends(get_settings)):
            request.app.state.current = mute  # found
            ours = get_settings()
            ours.mute = mute  # found
            with in_mode(get_settings(), "play"):
                return settings
        # file: app/config.py
        from functools import lru_cache
        from pydantic_settings import BaseSettings
        class Settings(BaseSettings):
            mute: bool = False
            mode: str = ""
        @lru_cache
        def get_settings() -> Settings:
            return Settings()
    """),
    Good(
        """
        import threading
        import httpx
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel
        app = FastAPI()
        class Prices:
            def __init__(self):
                self.client = None
                self.lock = threading.Lock()
                self.known, self.recent, self.rows = {}, [], {}
                self.asked = {}
                self.total = self.last_name = 0
            def start(self, url):
                self.url = url
            def of(self, name, url):
                self.start(url)
                if self.client is None:
                    self.client = httpx.Client(base_url=url)
                with self.lock:
                    self.total = self.total + len(name)
                self.last_name = name
                self.recent.append(name)
                if len(self.recent) > 9:
                    self.recent = []
                if name not in self.known:
                    self.known[name] = self.client.get(name, timeout=5).json()
                self.asked[name] = url
                return self.known[name]
            def forget(self, name):
                self.asked.pop(name)
        class Query:
            names: list = []
            def __init__(self):
                self.names = []
            def of(self, name):
                self.name = name
                self.names.append(name)
                return self
        class Caller(BaseModel):
            names: list = []
            def remember(self, name):
                self.names.append(name)
        class Provided:
            def remember(self, name):
                self.name = name
        prices = Prices()
        default = Caller()
        examples = [Provided()]
        @app.get("/prices/{name}")
        def price(name: str, url: str, given: Provided = Depends()):
            given.remember(name)
            Caller().remember(name)
            Query().of(name)
            prices.forget(name)
            return prices.of(name, url)
    """,
        "made when it is first needed, behind a lock, bounded, taken out again, and objects of which each request has its own",
    ),
    Good(
        """
        # file: app/main.py
        import openai, os
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
            home = os.getcwd(); os.chdir("/srv"); os.chdir(home)
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
        last_asked = {}

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
            asked = last_asked.get("prices")
            if asked is None or time.time() - asked > 60:
                last_asked["prices"] = time.time()
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
            totals = [NAMES["a"]]
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
