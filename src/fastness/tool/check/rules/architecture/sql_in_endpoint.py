"""Endpoints speak to the database themselves.

An endpoint that builds queries can only be tested through HTTP with a database, its query cannot be used by a job or a second
endpoint, and the next change of the schema has to find every one of them.

Move the query to a repository or service, and let the endpoint translate. Health checks may ask `select 1`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.lifetimes.sessions import CONNECTION
from fastness.tool.check.knowledge.running.queries import asks_store
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function

_SESSION = r"(?:sqlalchemy\.orm\.(?:Session|scoped_session)|sqlalchemy\.ext\.asyncio\.AsyncSession)\(\)"
_RAW = rf"{CONNECTION}(?:\.cursor\(\))?\.(?:execute|executemany|fetch|fetchrow|fetchval|execute_fetchall)"
_QUERY = re.compile(
    rf"{_RAW}|{_SESSION}\.(?:query|execute|exec|scalars?|get|get_one|add|add_all|delete|commit|merge|flush)|sqlalchemy\.(?:select|insert|update|delete|text)"
)
_STATEMENTS = re.compile(rf"{_RAW}|sqlalchemy\.(?:select|insert|update|delete)|.*\.query")
_EXEMPT = re.compile(r"health|heart_?beat|ready|readiness|livez|ping|status", re.IGNORECASE)


@rule(severity=Severity.WARNING, practice="1.1", help="move queries to a repository or service, and let endpoints translate")
def check(service: Service) -> Iterator[Found]:
    by_file: dict[Module, dict[Function, CallSite]] = {}
    for route in service.routes:
        handler = route.handler
        if handler.module.is_test or _EXEMPT.search(f"{route.path or ''} {handler.name} {handler.module.path}"):
            continue
        queries = [site for site in handler.calls if _queries(service, site)]
        if any(_builds(service, site) for site in queries):
            first = min(queries, key=lambda site: site.node.lineno)
            by_file.setdefault(handler.module, {})[handler] = first
    for module, endpoints in by_file.items():
        names = ", ".join([handler.name for handler in endpoints][:3]) + (", …" if len(endpoints) > 3 else "")
        evidence = []
        for handler, site in endpoints.items():
            evidence.append(proof(handler, handler.node, f"the endpoint {handler.qualified}"))
            evidence.append(proof(handler, site.node, f"asks the database: {ast.unparse(site.node.func)[:60]}"))
        message = f"endpoints query the database themselves: {names}"
        yield found(module, next(iter(endpoints)).node, message, *evidence, count=len(endpoints))


def _paths(service: Service, site: CallSite) -> list[str]:
    return [value.path for value in service.resolver.targets(site) if isinstance(value, External)]


def _queries(service: Service, site: CallSite) -> bool:
    return any(_QUERY.fullmatch(path) or asks_store(path, site) for path in _paths(service, site))


def _builds(service: Service, site: CallSite) -> bool:
    return any(_STATEMENTS.fullmatch(path) or asks_store(path, site) for path in _paths(service, site))


EXAMPLES = [
    Bad("""
        from fastapi import Depends, FastAPI
        from sqlalchemy import select
        from sqlalchemy.orm import Session, sessionmaker

        app = FastAPI()
        get_db = sessionmaker()

        @app.get("/users")
        def users(db: Session = Depends(get_db)):  # found
            return db.scalars(select(int)).all()

        @app.post("/users")
        def create(db: Session = Depends(get_db)):
            return db.query(int).all()
    """),
    Bad("""
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from motor.motor_asyncio import AsyncIOMotorClient
        from app import notes, shops

        app = FastAPI()
        app.include_router(shops.router)
        app.include_router(notes.router)
        client = AsyncIOMotorClient("mongodb://mongo")

        @app.get("/parcels/{number}")
        async def parcel(number: str):  # found
            return await client.post.parcels.find_one({"number": number})
        # file: app/shops.py
        from fastapi import APIRouter
        from tortoise import Model, fields

        router = APIRouter()

        class Shop(Model):
            town = fields.CharField(80)

        @router.get("/shops")
        async def shops(town: str) -> list:  # found
            return await Shop.filter(town=town).order_by("id")
        # file: app/notes.py
        from fastapi import APIRouter
        from supabase import acreate_client

        router = APIRouter()

        async def store():
            return await acreate_client("https://example.org", "key")

        @router.get("/notes")
        async def notes(author: str):  # found
            client = await store()
            return (await client.table("notes").select("*").eq("author", author).execute()).data
    """),
    Good("""
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from sqlalchemy import select, text
        from sqlalchemy.orm import Session, sessionmaker
        from app import crud

        app = FastAPI()
        get_db = sessionmaker()

        @app.get("/users")
        def users(db: Session = Depends(get_db)):
            return crud.users(db)

        @app.get("/healthz")
        def health(db: Session = Depends(get_db)):
            return db.scalar(select(1))
        # file: app/crud.py
        from sqlalchemy import select

        def users(db):
            return db.scalars(select(int)).all()
    """),
    Good(
        """
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from app.menu import select, text
        from app.users import Users

        app = FastAPI()
        cache: dict[str, int] = {}

        @app.get("/menu")
        def menu(name: str):
            return select(name).where(text("open"))

        @app.post("/users")
        def create(name: str, users: Users = Depends()):
            users.add(name)
            return cache.get(name)
        # file: app/menu.py
        class Choice:
            def where(self, text): ...

        def select(name):
            return Choice()

        def text(name): ...
        # file: app/users.py
        class Users:
            def add(self, name): ...
    """,
        "the names of a query that mean something else: a menu's select, a cache's get, a repository's add",
    ),
    Good(
        """
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker
        from app import crud

        app = FastAPI()
        get_db = sessionmaker()

        @app.post("/users")
        def create(db: Session = Depends(get_db)):
            with db.begin():
                user = crud.create(db)
                db.flush()
            return user.id
        # file: app/crud.py
        from sqlalchemy import insert

        def create(db):
            return db.scalars(insert(int)).one()
    """,
        "it ends the transaction of what a service asked for, and asks for nothing itself",
    ),
    Bad("""
        # file: app/main.py
        import asyncpg
        from fastapi import Depends, FastAPI
        from app.rooms import rooms_of

        app = FastAPI()
        pool = asyncpg.create_pool("postgresql://db/rooms")

        async def connection():
            async with pool.acquire() as taken:
                yield taken

        @app.get("/rooms")
        async def rooms(db: asyncpg.Connection = Depends(connection)):  # found
            return await db.fetch("select * from rooms")

        @app.get("/houses/{id}/rooms")
        async def of_house(id: int, db=Depends(connection)):
            return await rooms_of(db, id)

        @app.get("/heartbeat")
        async def heartbeat(db=Depends(connection)):
            return await db.fetchval("select 1")
        # file: app/rooms.py
        async def rooms_of(db, house):
            return await db.fetch("select * from rooms where house = $1", house)
    """),
]
