"""A transaction ends in an endpoint, a dependency or a middleware.

Where the endpoint commits, nothing that is called from two endpoints can be one transaction, and half of the work can be
stored when the other half fails. A dependency that commits after its `yield` does so when the response is already on its
way: the client was told 200, and the commit may still fail.

Let the service that knows what belongs together end the transaction, once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.lifetimes.sessions import commits
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import CallSite, Function

_UNIT_OF_WORK = re.compile(r"unit_?of_?work|uow|transaction", re.IGNORECASE)


@rule(severity=Severity.WARNING, practice="7.1", help="commit in the service, once, around everything that belongs together")
def check(service: Service) -> Iterator[Found]:
    reported: set[CallSite] = set()
    for role, function in _boundary(service):
        if _UNIT_OF_WORK.search(function.qualified):
            continue
        ends = [
            site for site in function.calls if site not in reported and not _is_first(function, site) and commits(service, site)
        ]
        if ends:
            reported.update(ends)
            evidence = [proof(site.scope, site.node, "and here") for site in ends[1:]]
            message = f"{role} {function.qualified} commits the transaction"
            yield found(
                function, ends[0].node, message, proof(function, function.node, f"the {role}"), *evidence, count=len(ends)
            )


def _boundary(service: Service) -> Iterator[tuple[str, Function]]:
    for route in service.routes:
        yield "endpoint", route.handler
    for route in service.routes:
        for dependency in service.tree(route):
            if isinstance(dependency.target, Function) and dependency.target.is_generator:
                yield "dependency", dependency.target
    for module in service.project.service:
        for function in module.functions:
            if function.name.startswith("get_") and _provides_session(function) and function.is_generator:
                yield "dependency", function
    for middleware in service.middleware:
        for function in service.run_by(middleware):
            yield "middleware", function


def _is_first(function: Function, site: CallSite) -> bool:
    """Nothing of the function's own is in the transaction: it gives the connection back, as before a long stream."""
    return any(
        isinstance(first, ast.Expr) and site.node in {first.value, getattr(first.value, "value", None)}
        for first in function.body[:1]
    )


def _provides_session(function: Function) -> bool:
    """It is made for `Depends`: one for `with` is the unit of work of whoever opens it."""
    if function.owner or function.decorated("contextmanager", "asynccontextmanager"):
        return False
    return any(word in function.name for word in ("db", "session", "database"))


EXAMPLES = [
    Bad("""
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        SessionLocal = sessionmaker()
        app = FastAPI()

        def get_db():
            with SessionLocal() as db:
                yield db
                db.commit()  # found

        @app.post("/")
        def create(db: Session = Depends(get_db)):
            db.add(1)
            db.commit()  # found
    """),
    Good("""
        from fastapi import Depends, FastAPI
        from fastapi.responses import StreamingResponse
        from sqlalchemy.orm import Session, sessionmaker

        SessionLocal = sessionmaker()
        app = FastAPI()

        def get_db():
            with SessionLocal() as db:
                yield db

        def unit_of_work():
            with SessionLocal() as db:
                yield db
                db.commit()

        class Users:
            def __init__(self, db: Session = Depends(get_db)):
                self.db = db

            def create(self):
                self.db.commit()

        class Repository:
            def commit(self): ...

        @app.get("/stream")
        def stream(db: Session = Depends(get_db)):
            db.commit()  # what the dependencies have read is over: a stream holds no connection
            return StreamingResponse(iter(()))

        @app.post("/")
        def create(users: Users = Depends(), uow=Depends(unit_of_work)):
            users.create()
            Repository().commit()
    """),
    Good(
        """
        from aiokafka import AIOKafkaConsumer
        from fastapi import FastAPI
        from git import Repo

        app = FastAPI()
        repository = Repo(".")
        consumer = AIOKafkaConsumer("orders")

        @app.post("/config")
        async def save():
            repository.index.commit("a change")
            await consumer.commit()
    """,
        "other things commit: an offset, a repository, a connection that this request does not have",
    ),
    Good(
        """
        from fastapi import FastAPI
        from sqlalchemy.orm import sessionmaker

        SessionLocal = sessionmaker()
        app = FastAPI()

        def purge():
            with SessionLocal() as db:
                db.execute("delete from sessions")
                db.commit()

        @app.get("/")
        def root(): ...

        if __name__ == "__main__":
            purge()
    """,
        "a job and a command that a file with endpoints holds beside them have a transaction of their own",
    ),
    Good(
        """
        from contextlib import contextmanager
        from sqlalchemy.orm import sessionmaker

        SessionLocal = sessionmaker()

        @contextmanager
        def get_session():
            with SessionLocal() as db:
                yield db
                db.commit()

        def import_prices(rows):
            with get_session() as db:
                db.add_all(rows)
    """,
        "who opens a context says what belongs together",
    ),
]
