"""The request's database session is used by work that outlives the request.

A session belongs to one request: its dependency rolls it back and closes it. A task that still holds it then works on a closed
session, which opens a connection again that nobody returns; while both run, two tasks share one connection and its
transaction, which SQLAlchemy forbids. FastAPI 0.106 to 0.117 close it before background tasks and streams begin; other
versions keep the connection for as long as those take, so a slow task empties the pool.

Hand over ids, and let the work open a session of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import callers, reach, versions
from fastness.tool.check.knowledge.lifetimes import sessions
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External, FunctionValue, Instance
from fastness.tool.project.source.symbols import CallSite, Function, Kind
from fastness.tool.project.source.walk import walk

_STARTS = {"asyncio.create_task", "asyncio.ensure_future", "asyncio.loop.create_task"}
_THREADS = {"threading.Thread"}
_LATER = {"fastapi.BackgroundTasks().add_task"}
_STREAMS = "StreamingResponse"


@rule(severity=Severity.ERROR, practice="4.4", help="hand over ids, and open a session inside of the task")
def check(service: Service) -> Iterator[Found]:
    running = reach.from_requests(service)
    early = versions.ends_before_background(service)
    for module in service.project.service:
        if not module.mentions("add_task", "create_task", "ensure_future", "Thread", _STREAMS, "BackgroundTask"):
            continue
        for function in module.functions:
            if function in running:
                for site in function.calls:
                    yield from _escapes(service, function, site, early=early)


def _escapes(service: Service, function: Function, site: CallSite, *, early: bool) -> Iterator[Found]:
    work = _work(service, function, site, early=early)
    if work is None:
        return
    what, severity, given = work
    for node, text in _held(service, function, given):
        message = f"the session of the request ({text}) goes to {what}"
        yield found(function, site.node, message, proof(function, node, "the session"), severity=severity)
        return


def _work(
    service: Service, function: Function, site: CallSite, *, early: bool
) -> tuple[str, Severity | None, list[ast.expr]] | None:
    """What the call starts that outlives the request, how bad that is, and what it is given."""
    if site.name not in {"add_task", "create_task", "ensure_future", "Thread", _STREAMS, "BackgroundTask"}:
        return None
    paths = {value.path for value in service.resolver.targets(site) if isinstance(value, External)}
    if paths & _STARTS and not _awaited_here(function, site):
        return "a task that nobody waits for", None, _arguments(site.node)
    if paths & _THREADS and not any(inner.name == "join" for inner in function.calls):
        return "a thread", None, _arguments(site.node)
    if paths & _LATER or "starlette.background.BackgroundTask" in paths:
        return "a background task", None if early else Severity.WARNING, [*site.node.args, *_values(site.node)]
    if early and any(path.rpartition(".")[2] == _STREAMS for path in paths):
        return "a stream, which FastAPI sends when the session is closed", None, _arguments(site.node)
    return None


def _arguments(call: ast.Call) -> list[ast.expr]:
    """What a call is given, and what the calls in it are given: `create_task(work(db))`, `Thread(args=(db,))`."""
    flat: list[ast.expr] = []
    for given in [*call.args, *_values(call)]:
        flat.append(given)
        if isinstance(given, ast.Call):
            flat += [given.func, *given.args, *_values(given)]
        elif isinstance(given, ast.Tuple | ast.List):
            flat += given.elts
        elif isinstance(given, ast.Dict):
            flat += given.values
    return flat


def _values(call: ast.Call) -> list[ast.expr]:
    return [keyword.value for keyword in call.keywords]


def _held(service: Service, function: Function, given: list[ast.expr]) -> Iterator[tuple[ast.AST, str]]:
    for node in given:
        if sessions.is_requests_own(service, node, function):
            if not isinstance(node, ast.Name) or callers.supplies(service, function, node.id):
                yield node, ast.unparse(node)
        elif isinstance(node, ast.Attribute | ast.Name):
            yield from _by_method(service, function, node)


def _by_method(service: Service, function: Function, node: ast.expr) -> Iterator[tuple[ast.AST, str]]:
    """A bound method whose object holds the session, and a function inside of this one that uses it."""
    for value in service.resolver.infer(node, function):
        if not isinstance(value, FunctionValue):
            continue
        work = value.definition
        if work.parent is function:
            used = (n for n in walk(work.node) if isinstance(n, ast.Name) and n.id not in work.bindings)
            yield from ((n, n.id) for n in used if sessions.is_requests_own(service, n, function))
        elif (
            isinstance(node, ast.Attribute)
            and value.receiver is not None
            and _is_requests_object(service, node.value, function)
        ):
            yield from (
                (node, f"{value.receiver.name}.{held.attr}") for held in sessions.held_by(service, work, value.receiver)
            )


def _is_requests_object(service: Service, node: ast.expr, function: Function) -> bool:
    """`self`, or an object that a dependency gave: it lives as long as the request."""
    if not isinstance(node, ast.Name):
        return False
    found_ = service.resolver.binding(node.id, function)
    if found_ is None or found_[0][-1].kind is not Kind.PARAMETER:
        return False
    return any(isinstance(value, Instance) for value in service.resolver.infer(node, function))


def _awaited_here(function: Function, site: CallSite) -> bool:
    """The function waits for the task: the work ends before the request does."""
    names = {n for n, bindings in function.bindings.items() for b in bindings if b.value is site.node}
    for node in walk(function.node):
        if isinstance(node, ast.Await):
            for inner in walk(node.value):
                if inner is site.node or (isinstance(inner, ast.Name) and (inner.id in names or not names)):
                    return True
    return False


EXAMPLES = [
    Bad("""
        import asyncio
        from fastapi import BackgroundTasks, Depends, FastAPI
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

        Local = async_sessionmaker()
        app = FastAPI()
        running = set()

        async def get_db():
            async with Local() as db:
                yield db

        async def index(db, item): ...

        class Mailer:
            def __init__(self, db: AsyncSession = Depends(get_db)):
                self.db = db

            async def send(self):
                await self.db.commit()

        @app.post("/a")
        async def a(db: AsyncSession = Depends(get_db)):
            running.add(asyncio.create_task(index(db, 1)))  # found

        @app.post("/b")
        async def b(tasks: BackgroundTasks, db: AsyncSession = Depends(get_db)):
            tasks.add_task(index, db=db, item=1)  # found

        @app.post("/c")
        async def c(tasks: BackgroundTasks, mailer: Mailer = Depends()):
            tasks.add_task(mailer.send)  # found
    """),
    Bad("""
        # file: requirements.txt
        fastapi==0.110.0
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from fastapi.responses import StreamingResponse
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db

        @app.get("/export")
        def export(db: Session = Depends(get_db)):
            def rows():
                yield from db.execute("select 1")

            return StreamingResponse(rows())  # found
    """),
    Good(
        """
        import asyncio
        from fastapi import BackgroundTasks, Depends, FastAPI
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

        Local = async_sessionmaker()
        app = FastAPI()

        async def get_db():
            async with Local() as db:
                yield db

        async def index(item):
            async with Local() as db:
                await db.commit()

        @app.post("/a")
        async def a(tasks: BackgroundTasks, db: AsyncSession = Depends(get_db)):
            item = await db.get(int, 1)
            tasks.add_task(index, item.id)
    """,
        "the task gets an id and opens a session of its own",
    ),
    Good(
        """
        import asyncio
        from fastapi import Depends, FastAPI
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

        Local = async_sessionmaker()
        app = FastAPI()

        async def get_db():
            async with Local() as db:
                yield db

        async def load(db): ...

        @app.get("/a")
        async def a(db: AsyncSession = Depends(get_db)):
            task = asyncio.create_task(load(db))
            return await asyncio.wait_for(task, 3)
    """,
        "the request waits for the task",
    ),
    Bad("""
        from fastapi import BackgroundTasks, Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        app = FastAPI()
        get_db = sessionmaker()

        def write(event, db): ...

        def note(tasks: BackgroundTasks, event: str, db: Session | None = None):
            tasks.add_task(write, event, db)  # found

        def log(tasks: BackgroundTasks, event: str, db: Session | None = None):
            tasks.add_task(write, event, db)

        @app.post("/a")
        def a(tasks: BackgroundTasks, db: Session = Depends(get_db)):
            note(tasks, "made", db)
            log(tasks, "made")
            log(tasks, "seen", db=None)
    """),
    Good(
        """
        import asyncio
        from sqlalchemy.ext.asyncio import AsyncSession

        async def consume(db: AsyncSession): ...

        async def worker(db: AsyncSession):
            asyncio.create_task(consume(db))
    """,
        "no request runs a worker",
    ),
    Good(
        """
        from fastapi import Depends, FastAPI
        from fastapi.responses import StreamingResponse
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db

        @app.get("/export")
        def export(db: Session = Depends(get_db)):
            def rows():
                yield from db.execute("select 1")

            return StreamingResponse(rows())
    """,
        "since FastAPI 0.118 the session is closed after the stream",
    ),
    Bad("""
        from fastapi import BackgroundTasks, Depends, FastAPI
        from psycopg import AsyncConnection
        from psycopg_pool import AsyncConnectionPool

        app = FastAPI()
        pool = AsyncConnectionPool("postgresql://db/rooms", open=False)

        async def connection():
            async with pool.connection() as taken:
                yield taken

        async def count(db: AsyncConnection): ...

        @app.post("/rooms")
        async def create(tasks: BackgroundTasks, db: AsyncConnection = Depends(connection)):
            tasks.add_task(count, db)  # found

        @app.post("/houses")
        async def build(tasks: BackgroundTasks, db=Depends(connection)):
            tasks.add_task(count, db=db)  # found
    """),
]
