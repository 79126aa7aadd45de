"""The transaction is committed when the client already has its answer.

What stands after the `yield` of a dependency runs after the response is sent. When the commit then fails, on a constraint, a
serialisation conflict or a lost connection, the client was told 201 and the data is not there; and a client that reads at
once may not find what it has just written.

Commit in the service, or declare `Depends(..., scope="function")` (FastAPI 0.121): it ends the dependency before the response.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge import sessions, versions
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.resolve import own_nodes
from fastness.tool.project.symbols import Class, Function, argument, constant
from fastness.tool.project.values import FunctionValue, Instance
from fastness.tool.project.walk import walk


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
    yields = list(own_nodes(function, ast.Yield))
    first = min((node.lineno for node in yields), default=0)
    for site in function.calls:
        if site.node.lineno > first and sessions.commits(service, site) and not _in_failure(function, site.node):
            return site.node, []
    blocks: list[ast.With | ast.AsyncWith] = [*own_nodes(function, ast.With), *own_nodes(function, ast.AsyncWith)]
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
    return any(any(inner is node for inner in walk(handler)) for handler in own_nodes(function, ast.ExceptHandler))


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


EXAMPLES = [
    Bad("""
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
    """),
    Bad("""
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
    """),
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
