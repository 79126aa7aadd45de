"""The transaction is committed when the client already has its answer.

What stands after the `yield` of a dependency runs after the response is sent. When the commit then fails, on a constraint, a
serialisation conflict or a lost connection, the client was told 201 and the data is not there; and a client that reads at
once may not find what it has just written.

Commit in the service, or declare `Depends(..., scope="function")` (FastAPI 0.121): it ends the dependency before the response.
The fix does the second wherever the dependency is asked for, unless something needs it longer: another generator that depends
on it, or a response that streams. Where background tasks are added it asks for review: they would find the session closed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import versions
from fastness.tool.check.knowledge.lifetimes import sessions
from fastness.tool.check.repair import Repair, argument_added, is_written
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import FunctionValue, Instance
from fastness.tool.project.routes import Route
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, argument, constant, last_name
from fastness.tool.project.source.walk import walk


@rule(
    severity=Severity.ERROR, practice="2.3", fix=Fix.SAFE, help='commit in the service, or use `Depends(..., scope="function")`'
)
def check(service: Service) -> Iterator[Found]:
    if not versions.ends_after_response(service):
        return
    for function, used in _dependencies(service).items():
        place = _committed_after(service, function)
        if place is not None:
            evidence = [proof(function, function.node, f"the dependency of {used} path operations"), *place[1]]
            yield found(
                function,
                place[0],
                f"{function.qualified} commits when the response is already sent",
                *evidence,
                count=max(used, 1),
            )


def _dependencies(service: Service) -> dict[Function, int]:
    """The generators that requests depend on until after the response, with the number of path operations of each."""
    found_: dict[Function, int] = {}
    for route in service.routes:
        if not route.handler.module.is_test:
            for dependency in service.tree(route):
                target = dependency.target
                early = dependency.call is not None and constant(argument(dependency.call, "scope")) == "function"
                if isinstance(target, Function) and target.is_generator and not early:
                    found_[target] = found_.get(target, 0) + 1
    return found_


def _committed_after(service: Service, function: Function) -> tuple[ast.AST, list[Evidence]] | None:
    yields = function.of(ast.Yield)
    first = min((node.lineno for node in yields), default=0)
    for site in function.calls:
        if site.node.lineno > first and sessions.commits(service, site) and not _in_failure(function, site.node):
            return site.node, []
    blocks: list[ast.With | ast.AsyncWith] = [*function.of(ast.With), *function.of(ast.AsyncWith)]
    for block in blocks:
        inside = {id(node) for statement in block.body for node in walk(statement)}
        if any(id(node) in inside for node in yields):
            for item in block.items:
                ends = _ends_with_commit(service, item.context_expr, function)
                if ends is not None:
                    return item.context_expr, ends
    return None


def _in_failure(function: Function, node: ast.AST) -> bool:
    """The commit stands in an `except`: it stores that the request failed."""
    return any(any(inner is node for inner in walk(handler)) for handler in function.of(ast.ExceptHandler))


def _ends_with_commit(service: Service, node: ast.expr, function: Function) -> list[Evidence] | None:
    """Leaving this context commits: a session's `begin()`, or a context manager of the project."""
    if sessions.begins(service, node, function):
        return []
    if not isinstance(node, ast.Call):
        return None
    for value in service.resolver.infer(node.func, function):
        if isinstance(value, FunctionValue) and value.definition.decorated("contextmanager", "asynccontextmanager"):
            place = _committed_after(service, value.definition) if value.definition is not function else None
            if place is not None:
                return [proof(value.definition, place[0], f"{value.definition.qualified} commits here"), *place[1]]
    for value in service.resolver.infer(node, function):
        if isinstance(value, Instance):
            return _exit_commits(service, value.definition)
    return None


def _exit_commits(service: Service, defined: Class) -> list[Evidence] | None:
    for name in ("__exit__", "__aexit__"):
        leaving = service.resolver.method(defined, name)
        if leaving is None:
            continue
        for method in (leaving, *(edge.target for edge in service.graph.edges(leaving))):
            for site in method.calls:
                if sessions.commits(service, site):
                    return [proof(method, site.node, f"{defined.name} commits here")]
    return None


def fix(service: Service, finding: Finding) -> Repair | str:
    """End the dependency before the response, wherever it is asked for: with two scopes it would be two sessions."""
    if not versions.has_scopes(service):
        return "`scope` needs FastAPI 0.121, and the project does not say that it has it"
    function = _of(service, finding)
    asked = list(_asked_for(service, function)) if function is not None else []
    if function is None or not asked:
        return "where the dependency is asked for cannot be told"
    if any(argument(call, "scope") is not None or not is_written(module, call) for module, call in asked):
        return "it is asked for with a scope already, or in a text annotation"
    routes = [route for route in service.routes if any(d.target is function for d in service.tree(route))]
    for route in routes:
        reason = _needs_it_longer(service, function, route)
        if reason is not None:
            return reason
    edits = [argument_added(module, call, 'scope="function"') for module, call in asked]
    return Repair(tuple(edits), review=any(map(_works_on, routes)))


def _needs_it_longer(service: Service, function: Function, route: Route) -> str | None:
    """Why the dependency must not end before the response of a route, None when it may."""
    for dependency in service.tree(route):
        outer = dependency.target
        if outer is function and dependency.security:
            return "a `Security` asks for it, which has no scope"
        if isinstance(outer, Function) and outer.is_generator and any(d.target is function for d in service.parameters(outer)):
            return f"{outer.qualified} depends on it and ends after the response, which FastAPI refuses"
    return f"{route.handler.qualified} streams, and would find it closed" if _streams(service, route) else None


def _of(service: Service, finding: Finding) -> Function | None:
    """The dependency of a finding, whose first proof is its definition."""
    proof_ = finding.evidence[0]
    return next((f for f in service.project.modules[proof_.path].functions if f.node.lineno == proof_.line), None)


def _asked_for(service: Service, function: Function) -> Iterator[tuple[Module, ast.Call]]:
    """Every `Depends` on a function: those in annotations are no calls that anything makes."""
    for module in service.project.readable:
        if not module.mentions("Depends"):
            continue
        scopes = {id(site.node): site.scope for site in module.all_calls}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and last_name(node) == "Depends":
                values = service.resolver.infer(argument(node, "dependency", 0), scopes.get(id(node), module))
                if any(isinstance(value, FunctionValue) and value.definition is function for value in values):
                    yield module, node


def _streams(service: Service, route: Route) -> bool:
    """The response is made while it is sent, by code that may use the dependency."""
    handler = route.handler
    named = _written(route.option("response_class")) + _written(handler.node.returns)
    if handler.is_generator or route.is_websocket or "Streaming" in named or "EventSource" in named:
        return True
    functions = (handler, *(edge.target for edge in service.graph.edges(handler)))
    return any(("Streaming" in site.name or "EventSource" in site.name) for one in functions for site in one.calls)


def _works_on(route: Route) -> bool:
    """Something goes on after the response: it may have the session."""
    asked = (_written(parameter.annotation) for parameter, _ in route.handler.parameters)
    return "BackgroundTask" in " ".join((*asked, *(site.name for site in route.handler.calls)))


def _written(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node)


EXAMPLES = [
    Bad("""
        # file: requirements.txt
        fastapi>=0.121
        # file: app/main.py
        from typing import Annotated
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db
                db.commit()  # found

        def repository(db: Session = Depends(get_db)): ...

        @app.post("/a")
        def a(db: Annotated[Session, Depends(get_db, use_cache=True)], rows=Depends(repository)): ...
    """),
    Bad(
        """
        # file: pyproject.toml
        [project]
        dependencies = ["fastapi~=0.121"]
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from fastapi.responses import StreamingResponse
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db
                db.commit()  # found

        def get_other():
            with Local() as db:
                yield db
                db.commit()  # found

        def locked(db: Session = Depends(get_other)):
            yield db

        @app.get("/a")
        def a(db: Session = Depends(get_db)):
            return StreamingResponse(row for row in db.execute("select 1"))

        @app.get("/b")
        def b(db: Session = Depends(locked)): ...
    """,
        by_hand=2,
    ),
    Bad(
        """
        from typing import Annotated
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            db = Local()
            try:
                yield db
                db.commit()  # found
            except Exception:
                db.rollback()
                raise
            finally:
                db.close()

        def transaction():
            with Local.begin() as db:  # found
                yield db

        Db = Annotated[Session, Depends(get_db)]

        @app.post("/a")
        def a(db: Db): ...

        @app.post("/b")
        def b(db: Session = Depends(transaction)): ...
    """,
        by_hand=2,
    ),
    Bad(
        """
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from app.db import scope

        app = FastAPI()

        async def get_db():
            async with scope() as db:  # found
                yield db

        @app.post("/a")
        async def a(db=Depends(get_db)): ...
        # file: app/db.py
        from contextlib import asynccontextmanager
        from sqlalchemy.ext.asyncio import async_sessionmaker

        Local = async_sessionmaker()

        @asynccontextmanager
        async def scope():
            async with Local() as db:
                yield db
                await db.commit()
    """,
        by_hand=1,
    ),
    Bad(
        """
        from collections.abc import AsyncGenerator
        from fastapi import Depends, FastAPI, Request
        from sqlalchemy.ext.asyncio import AsyncSession

        app = FastAPI()

        async def get_db(request: Request) -> AsyncGenerator[AsyncSession, None]:
            async with request.app.state.sessions() as db:
                yield db
                await db.commit()  # found

        @app.post("/a")
        async def a(db: AsyncSession = Depends(get_db)): ...
    """,
        by_hand=1,
    ),
    Good(
        """
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db
                db.commit()

        @app.post("/a")
        def a(db: Session = Depends(get_db, scope="function")): ...
    """,
        "the dependency ends before the response is sent",
    ),
    Good(
        """
        # file: requirements.txt
        fastapi==0.115.0
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db
                db.commit()

        @app.post("/a")
        def a(db: Session = Depends(get_db)): ...
    """,
        "FastAPI 0.106 to 0.117 end dependencies before they send the response",
    ),
    Good(
        """
        from contextlib import contextmanager
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        @contextmanager
        def job_session():
            with Local() as db:
                yield db
                db.commit()

        def get_db():
            with Local() as db:
                db.execute("set role app")
                db.commit()
                yield db
                db.rollback()

        @app.post("/a")
        def a(db=Depends(get_db)): ...
    """,
        "a job's context manager has no response, and a commit before the `yield` is no answer's",
    ),
]
