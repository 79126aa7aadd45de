"""One database session is shared by all requests.

A session is one transaction and one connection, and no two threads or tasks may use it at a time: one request commits what
another has half done, reads its uncommitted rows, or gets its error; after one failure every request fails until a restart;
and rows once read are never read anew.

Make a session per request with a dependency. An engine, a `sessionmaker` and a `scoped_session` may be shared.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.lifetimes import lasting, sessions, startup
from fastness.tool.check.knowledge.lifetimes.left_behind import self_name
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import ClassValue, FunctionValue, Instance
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Binding, Class, Function, Kind, Scope, handed_on
from fastness.tool.project.source.walk import walk


@rule(severity=Severity.ERROR, practice="7.2", help="make one session per request, in a dependency")
def check(service: Service) -> Iterator[Found]:
    for entry in startup.starts(service):
        for node in walk(entry.node):
            if isinstance(node, ast.Assign) and _on_state(node.targets[0]) and _made(service, node.value, entry):
                yield found(entry, node, f"{ast.unparse(node.targets[0])} is one session for all requests")
    for module in service.project.service:
        for function in _keeping(module) if module.mentions("ession", "connect") else ():
            yield from _on_lasting(service, function)


def _keeping(module: Module) -> list[Function]:
    """The functions in which an attribute is given something named as a session is: what else there is need not be read."""
    functions = sorted(module.functions, key=lambda one: one.line)
    starts = [one.line for one in functions]
    places: dict[int, None] = {}
    for kept in _KEPT.finditer(module.text):
        if _NAMED.search(kept[0]):
            places[bisect_right(starts, module.text.count("\n", 0, kept.start()) + 1) - 1] = None
    return [functions[place] for place in places if place >= 0]


_KEPT = re.compile(r"self\.\w+(?: *:[^=\n]+)? *=(?!=).*")
_NAMED = re.compile(r"ession|onn|\bdb\b|Local")
_ENTERING = ("__enter__", "__aenter__")


def _on_lasting(service: Service, method: Function) -> Iterator[Found]:
    """A method keeps a session on its object, which other requests have too."""
    itself = self_name(method)
    if not itself or method.owner is None:
        return
    for node in method.nodes:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name) or target.value.id != itself:
            continue
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if method.name == "__init__" and not _made(service, value, method):
            continue  # what it is given is reported where the object is made
        if not sessions.is_session(service.resolver.infer(value, method)):
            continue
        made = lasting.made(service, method.owner)
        if made is None:
            continue
        proofs = [proof(made.scope, made.node, "the object that all requests share is made here")]
        if method.name == "__init__":
            used = _used(service, method.owner, target.attr)
            if used is not None:
                proofs.append(proof(used[0], used[1], f"{used[0].qualified} uses it in a request"))
                yield found(method, node, f"{ast.unparse(target)} is one session for all requests", *proofs)
        elif method.name in _ENTERING or method in reach.from_requests(service) or _is_handed_over(service, method):
            yield found(method, node, f"{ast.unparse(target)} is the session of whichever request came last", *proofs)


def _used(service: Service, owner: Class, name: str) -> tuple[Function, ast.AST] | None:
    """Where a request uses an attribute of the objects of a class."""
    for function in reach.from_requests(service):
        for node in function.of(ast.Attribute) if function.module.mentions(f".{name}") else ():
            if node.attr == name and function.name != "__init__":
                values = service.resolver.infer(node.value, function)
                if any(isinstance(value, Instance) and value.definition is owner for value in values):
                    return function, node
    return None


def _is_handed_over(service: Service, method: Function) -> bool:
    """Somebody is given the bound method, to call it: `bus.subscribe("made", mailer.on_event)`."""
    for module in service.project.service:
        for site in module.all_calls if module.mentions(f".{method.name}") else ():
            for given in handed_on(site.node):
                if isinstance(given, ast.Attribute) and given.attr == method.name:
                    values = service.resolver.infer(given, site.scope)
                    if any(isinstance(value, FunctionValue) and value.definition is method for value in values):
                        return True
    return False


def each(module: Module, service: Service) -> Iterator[Found]:
    if module.mentions("ession", "connect"):
        yield from _in_module(service, module)
        for function in module.functions:
            faults = list(_by_default(service, function))
            if faults and (function.name == "__init__" or function in reach.from_requests(service)):
                yield from faults


def _in_module(service: Service, module: Module) -> Iterator[Found]:
    scopes: list[Module | Class] = [module, *module.classes]
    for scope in scopes:
        for name, bindings in scope.bindings.items():
            for binding in bindings:
                if binding.kind is not Kind.ASSIGN or binding.value is None or module.only_as_script(binding.node):
                    continue
                if _holds_session(service, binding, scope):
                    user = _user(service, module, scope, name)
                    if user is not None:
                        yield found(
                            module,
                            binding.node,
                            f"{name} is one session for all requests",
                            proof(user, user.node, f"{user.qualified} uses it in a request"),
                        )


def _holds_session(service: Service, binding: Binding, scope: Scope) -> bool:
    """The value is a session, or an object of the project that is made with one."""
    value = binding.value
    if _made(service, value, scope):
        return True
    if not isinstance(value, ast.Call):
        return False
    is_object = any(isinstance(v, ClassValue) for v in service.resolver.infer(value.func, scope))
    return is_object and any(_made(service, one, scope) for one in handed_on(value))


def _made(service: Service, node: ast.expr | None, scope: Scope) -> bool:
    """The expression makes a session: `SessionLocal()`, `Session(engine)`, `next(get_db())`."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name) and node.func.id == "next" and node.args and isinstance(node.args[0], ast.Call):
        provider = node.args[0].func
        return any(
            isinstance(v, FunctionValue) and v.definition.is_generator for v in service.resolver.infer(provider, scope)
        ) and sessions.is_session(service.resolver.provided(provider, scope))
    return sessions.is_session(service.resolver.infer(node, scope))


def _user(service: Service, module: Module, scope: Scope, name: str) -> Function | None:
    """A function that requests run and that uses the name, from this module or one that imports it."""
    for function in sorted(reach.from_requests(service), key=lambda f: (f.module.path, f.line)):
        if name not in function.module.text or (isinstance(scope, Class) and function.owner is not scope):
            continue
        for node in walk(function.node):
            if isinstance(scope, Class):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr == name
                    and ast.unparse(node.value) in {"self", "cls", scope.name}
                ):
                    return function
            elif isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                where = service.resolver.binding(name, function)
                if where is not None and _leads_to(service, where, module, name):
                    return function
    return None


def _leads_to(service: Service, where: tuple[list[Binding], Scope], module: Module, name: str) -> bool:
    bindings, holder = where
    if holder is module:
        return True
    first = bindings[-1]
    if first.kind is not Kind.IMPORT or first.member != name:
        return False
    importer = holder if isinstance(holder, Module) else holder.module
    return service.project.find(first.module, importer) is module


def _by_default(service: Service, function: Function) -> Iterator[Found]:
    """`def __init__(self, db=SessionLocal())`: a default is made once."""
    for parameter, default in function.parameters:
        if isinstance(default, ast.Call) and _made(service, default, function.parent):
            yield found(
                function, default, f"the default of {parameter.arg} is one session for all calls of {function.qualified}"
            )


def _on_state(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and ast.unparse(target.value).endswith("app.state")


EXAMPLES = [
    Bad("""
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from app.db import database
        app = FastAPI()
        async def get_session():
            yield database.session
        @app.get("/users")
        async def users(db=Depends(get_session)): ...
        # file: app/db.py
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
        class Database:
            def __init__(self):
                self.engine = create_async_engine("postgresql+asyncpg://db")
                self.session: AsyncSession = AsyncSession(bind=self.engine)  # found
        database = Database()
    """),
    Good(
        """
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker
        Local = sessionmaker()
        app = FastAPI()
        class Unit:
            def __init__(self):
                self.session: Session = Local()
        class Loader:
            def __init__(self):
                self.session = Local()
        loader = Loader()
        @app.get("/users")
        def users(unit: Unit = Depends()):
            return unit.session, loader
        """,
        "each request has an object of its own, or none uses the session of the one that there is",
    ),
    Bad("""
        # file: app/db.py
        from sqlalchemy.orm import sessionmaker

        SessionLocal = sessionmaker()
        db = SessionLocal()  # found

        def get_db():
            with SessionLocal() as session:
                yield session
        # file: app/main.py
        from fastapi import FastAPI
        from app.db import SessionLocal, db, get_db

        app = FastAPI()

        class Users:
            def __init__(self, session):
                self.session = session

        class Orders:
            session = SessionLocal()  # found

            def all(self):
                return self.session.execute("select 1")

        users = Users(next(get_db()))  # found

        @app.get("/users")
        def all_users(orders=None):
            Orders().all()
            return db.query(int).all(), users

        @app.get("/orders")
        def all_orders():
            return find()

        def find(session=SessionLocal()):  # found
            return session
    """),
    Bad("""
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy.ext.asyncio import async_sessionmaker

        Local = async_sessionmaker()

        @asynccontextmanager
        async def lifespan(app):
            app.state.db = Local()  # found
            yield

        app = FastAPI(lifespan=lifespan)
    """),
    Bad("""
        from fastapi import FastAPI
        from sqlalchemy.ext.asyncio import async_sessionmaker

        Local = async_sessionmaker()
        app = FastAPI()

        class Work:
            async def __aenter__(self):
                self.session = Local()  # found
                return self

            async def __aexit__(self, *error):
                await self.session.close()

        class Bus:
            def __init__(self):
                self.told = []

            def subscribe(self, listener):
                self.told.append(listener)

        class Mailer:
            async def on_order(self, order):
                async with Local() as session:
                    self.session = session  # found
                    await self.store(order)

            async def store(self, order):
                self.session.add(order)

        bus = Bus()

        def listen():
            mailer = Mailer()
            bus.subscribe(mailer.on_order)

        listen()
        shared = Work()

        @app.post("/orders")
        async def create():
            async with shared:
                return 1
    """),
    Good(
        """
        from fastapi import FastAPI
        from sqlalchemy.ext.asyncio import async_sessionmaker

        Local = async_sessionmaker()
        app = FastAPI()

        class Work:
            async def __aenter__(self):
                self.session = Local()
                return self

            async def __aexit__(self, *error):
                await self.session.close()

        @app.post("/orders")
        async def create():
            async with Work() as work:
                return work
    """,
        "each request makes an object of its own",
    ),
    Good(
        """
        from fastapi import FastAPI
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session, scoped_session, sessionmaker

        engine = create_engine("sqlite://")
        Local = sessionmaker(engine)
        registry = scoped_session(Local)
        app = FastAPI()

        @app.get("/users")
        def users():
            with Local() as db, Session(engine) as other:
                return db, other, registry, engine
    """,
        "engines, factories and scoped sessions may be shared",
    ),
    Good(
        """
        # file: app/seed.py
        from app.db import Local

        db = Local()

        def main():
            db.add(1)
            db.commit()
        # file: app/db.py
        from sqlalchemy.orm import sessionmaker

        Local = sessionmaker()
    """,
        "a script that no request runs has a session of its own",
    ),
    Good(
        """
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            db = Local()
            yield db
            db.close()

        class Users:
            db: Session

            def __init__(self, db: Session = Depends(get_db)):
                self.db = db

        @app.get("/users")
        def users(users: Users = Depends(), db: Session = Depends(get_db)):
            return users, db
    """,
        "sessions that dependencies make, in functions and objects",
    ),
]
