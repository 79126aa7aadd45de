"""Examples of rules whose own files have no room for them, in the same form."""

import pytest

from fastness.tool.check import examples
from fastness.tool.check.rule import Bad, Example, Good
from fastness.tool.check.rules import catalogue

MORE: dict[str, list[Example]] = {
    "contracts/unreachable-route": [
        Bad("""
            from fastapi import FastAPI
            from fastapi.staticfiles import StaticFiles

            app = FastAPI()
            reports = FastAPI()

            @app.get("/files/logo")
            def logo(): ...

            app.mount("/files", StaticFiles(directory="files"))
            app.mount("/reports", reports)

            @reports.get("/latest")
            def latest(): ...

            @app.get("/files/{name}")
            def file(name: str):  # found
                return name

            @app.get("/files")
            def files(): ...

            @app.post("/reports/{year}")
            def write(year: int): ...  # found

            @app.delete("/reports/{year}")
            def remove(year: int): ...

            @app.get("/filesystem")
            def filesystem(): ...
        """),
        Bad("""
            # file: app/main.py
            from fastapi import FastAPI
            from fastapi.staticfiles import StaticFiles
            from app import orders

            def create_app():
                app = FastAPI()
                app.mount("/", StaticFiles(directory="dist", html=True))
                app.include_router(orders.router, prefix="/api")
                return app

            app = create_app()
            # file: app/orders.py
            from fastapi import APIRouter

            router = APIRouter(prefix="/orders")

            @router.get("")
            def orders(): ...  # found

            @router.get("/{number}")
            def order(number: int): ...
        """),
        Good(
            """
            # file: app/main.py
            import os
            from fastapi import FastAPI
            from fastapi.staticfiles import StaticFiles
            from app import orders

            app = FastAPI()
            if os.path.isdir("docs"):
                app.mount("/orders", StaticFiles(directory="docs"))
            app.include_router(orders.router)

            @app.get("/health")
            def health(): ...

            app.mount("/", StaticFiles(directory="dist", html=True))
            # file: app/orders.py
            from fastapi import APIRouter

            router = APIRouter(prefix="/orders")

            @router.get("/{number}")
            def order(number: int): ...
        """,
            "what is mounted comes last, or only where it exists",
        ),
    ],
}
MORE["security/unauthenticated-endpoint"] = [
    Bad("""
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer

        router = APIRouter(prefix="/cakes")
        def load(): ...

        @router.get("/")
        def cakes():
            return load()

        @router.get("/{number}")
        def cake(number: int):
            return load()

        @router.post("/add")
        def bake(name: str, user=Depends(HTTPBearer())): ...

        @router.patch("/{number}")
        def change(number: int, name: str): ...  # found

        @router.delete("/{number}")
        def eat(number: int): ...  # found

        @router.put("/{number}/likes")
        def like(number: int): ...
    """),
    Good(
        """
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer

        router = APIRouter()

        @router.post("/guests")
        def come(name: str): ...

        @router.delete("/guests/{number}")
        def leave(number: int): ...

        @router.post("/cakes")
        def bake(name: str, user=Depends(HTTPBearer())): ...

        @router.delete("/shares/{share_token}")
        def revoke(share_token: str): ...
    """,
        "strangers change what strangers make",
    ),
    Good(
        """
        import logging
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer

        logger = logging.getLogger(__name__)
        router = APIRouter(prefix="/payments")

        class Payments:
            def take(self, sent):
                if not self._verify_signature(sent):
                    raise ValueError(sent)

            def _verify_signature(self, sent): ...

        @router.post("/")
        def pay(amount: int, user=Depends(HTTPBearer())): ...

        @router.get("/{number}")
        def payment(number: int, user=Depends(HTTPBearer())): ...

        @router.post("/notification")
        def notified(sent: dict):
            Payments().take(sent)

        @router.get("/finished/{number}")
        def finished(number: int):
            logger.info("payment %s is finished", number)
            return {"message": "thank you"}
    """,
        "a provider signs what it sends, and a page that thanks tells nothing",
    ),
]
MORE["security/auth-fails-open"] = [
    Bad("""
        import logging
        import redis.asyncio as redis
        from fastapi import Depends, FastAPI, HTTPException

        app = FastAPI()
        cache = redis.Redis()

        async def is_revoked(token: str) -> bool:
            try:
                return await cache.exists(f"revoked:{token}") > 0
            except redis.RedisError:  # found
                logging.exception("cannot tell")
                return False

        async def is_session_blacklisted(number: str) -> bool:
            try:
                return await cache.get(number) is not None
            except Exception:  # found
                logging.exception("cannot tell")
            return False

        async def has_permission(user: str, name: str) -> bool:
            try:
                return name in await cache.smembers(user)
            except Exception:  # found
                return True

        @app.post("/orders")
        async def order(token: str, session: str):
            if await is_revoked(token) or await is_session_blacklisted(session):
                raise HTTPException(401)
            if not await has_permission(token, "orders"):
                raise HTTPException(403)
    """),
    Good(
        """
        import redis.asyncio as redis
        from fastapi import FastAPI, HTTPException
        from jose import JWTError, jwt

        app = FastAPI()
        cache = redis.Redis()

        async def is_revoked(token: str) -> bool:
            try:
                number = jwt.decode(token, "", algorithms=["HS256"])["jti"]
            except JWTError:
                return False
            try:
                return await cache.exists(number) > 0
            except redis.RedisError:
                return True

        async def has_permission(user: str, name: str) -> bool:
            try:
                return name in await cache.smembers(user)
            except Exception:
                return False

        async def check_rate_limit_of_token(token: str) -> bool:
            try:
                return await cache.incr(token) < 10
            except Exception:
                return True

        @app.post("/orders")
        async def order(token: str):
            if await is_revoked(token) or not await has_permission(token, "orders"):
                raise HTTPException(401)
            return await check_rate_limit_of_token(token)
    """,
        "who cannot be asked is not taken to have said yes; a limit may be left out, and a token that is none is refused later",
    ),
]
MORE["concurrency/shared-mutable-state"] = [
    Bad("""
        import secrets
        from fastapi import FastAPI

        app = FastAPI()
        otp_store: dict[str, str] = {}
        _chat_sessions = {}
        oauth_providers = {}

        @app.post("/otp")
        def send(phone: str):
            otp_store[phone] = secrets.token_hex(3)  # found

        @app.post("/otp/check")
        def check(phone: str, code: str):
            return otp_store.pop(phone, None) == code

        @app.post("/chat/{number}")
        def chat(number: str, text: str):
            _chat_sessions.setdefault(number, []).append(text)  # found

        @app.delete("/chat/{number}")
        def end(number: str):
            del _chat_sessions[number]

        @app.post("/providers")
        def provide(name: str):
            oauth_providers[name] = 1
            oauth_providers.pop("")
    """),
    Good(
        """
        from fastapi import FastAPI, WebSocket

        app = FastAPI()
        chat_sessions: dict[str, WebSocket] = {}
        running = {}

        @app.websocket("/chat/{number}")
        async def chat(socket: WebSocket, number: str):
            chat_sessions[number] = socket
            try:
                await socket.receive_text()
            finally:
                del chat_sessions[number]

        @app.post("/reports/{name}")
        def report(name: str):
            running[name] = True
            try:
                return name
            finally:
                running.pop(name)
    """,
        "what a connection or a request itself has, and takes away when it ends",
    ),
]
MORE["reliability/swallowed-exception"] = [
    Bad("""
        import logging
        from fastapi import Depends, FastAPI, HTTPException
        from sqlalchemy import text
        from sqlalchemy.orm import Session, sessionmaker

        logger = logging.getLogger(__name__)
        app = FastAPI()
        Local = sessionmaker()

        def get_db():
            with Local() as db:
                yield db

        @app.get("/prices")
        def prices(db: Session = Depends(get_db)):
            try:
                rows = db.execute(text("select * from prices")).all()
                return {"prices": rows}
            except Exception as error:  # found
                logger.error(f"no prices: {error}")

        @app.get("/promised")
        def promised(db: Session = Depends(get_db)) -> list[int]:
            try:
                return db.scalars(text("select 1")).all()
            except Exception:
                logger.exception("no numbers")

        @app.post("/webhooks/payments")
        def payment_webhook(event: str, db: Session = Depends(get_db)):
            try:
                db.execute(text("insert into events values (:event)"), {"event": event})
                db.commit()
            except Exception:
                logger.exception("event lost")

        @app.get("/known")
        def known(db: Session = Depends(get_db)):
            rows = None
            try:
                rows = db.execute(text("select * from known")).all()
            except Exception as error:
                logger.error(f"not known: {error}")
            if rows is None:
                raise HTTPException(503)
            return rows
    """),
]
MORE["lifespan/resource-outside-lifespan"] = [
    Bad("""
        from functools import cache, lru_cache
        import httpx
        import redis.asyncio as redis

        @lru_cache
        def get_cache() -> redis.Redis:
            return redis.from_url("redis://cache")  # found

        @cache
        def rates():
            return httpx.AsyncClient(base_url="https://rates.example.org")  # found

        async def known(name):
            return await get_cache().get(name) or await rates().get(name)
        # file: app/others.py
        from aiogram import Bot
        from databases import Database
        from qdrant_client import AsyncQdrantClient

        bot = Bot("token")  # found
        vectors = AsyncQdrantClient("http://vectors")  # found
        database = Database("postgresql://db/orders")

        async def stop():
            await database.disconnect()

        HANDLERS = [stop]
    """),
    Good(
        """
        # file: app/clients.py
        from functools import cache, lru_cache
        import httpx
        import redis.asyncio as redis

        @lru_cache
        def get_cache() -> redis.Redis:
            return redis.from_url("redis://cache")

        @cache
        def rates():
            return httpx.AsyncClient(base_url="https://rates.example.org")

        @lru_cache
        def settings():
            return {"cache": "redis://cache"}
        # file: app/main.py
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from app import clients
        from app.clients import get_cache

        @asynccontextmanager
        async def lifespan(app):
            yield
            cache = get_cache()
            await cache.aclose()
            await clients.rates().aclose()

        app = FastAPI(lifespan=lifespan)
    """,
        "it is closed by what gives it, or under the name that it was given",
    ),
]
TABLES = """
        # file: app/tables.py
        from sqlalchemy import Column, ForeignKey, Integer, String
        from sqlalchemy.orm import declarative_base, relationship

        Base = declarative_base()

        class Author(Base):
            __tablename__ = "authors"
            id = Column(Integer, primary_key=True)
            name = Column(String)
            books = relationship("Book", back_populates="author")

        class Book(Base):
            __tablename__ = "books"
            id = Column(Integer, primary_key=True)
            author_id = Column(ForeignKey("authors.id"))
            author = relationship("Author", back_populates="books")
            prizes = relationship("Prize", lazy="selectin")
            covers = relationship("Cover")

        class Prize(Base):
            __tablename__ = "prizes"
            id = Column(Integer, primary_key=True)
            book_id = Column(ForeignKey("books.id"))

        class Cover(Prize): ...
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from sqlalchemy import select
        from sqlalchemy.orm import Session, joinedload, selectinload, sessionmaker
        from app.tables import Author, Book

        app = FastAPI()
        Local = sessionmaker()

        def get_db():
            with Local() as db:
                yield db
"""
MORE["persistence/query-in-loop"] = [
    Bad(f"""{TABLES}
        @app.get("/books")
        def books(db: Session = Depends(get_db)):
            rows = db.query(Book).all()
            return [{{"id": row.id, "author": row.author.name}} for row in rows]  # found

        def shelf(db):
            found = []
            for one in db.execute(select(Author)).scalars().all():
                found.append((one.name, [book.id for book in one.books]))  # found
            for one in db.execute(select(Author)).scalars().all():
                found.append(len(one.books))
            return found

        @app.get("/shelf")
        def all_of(db: Session = Depends(get_db)):
            return shelf(db)

        def one_book(db: Session, id: int):
            return db.get(Book, id)

        @app.post("/loans")
        def lend(ids: list[int], db: Session = Depends(get_db)):
            lent = []
            for id in ids:
                book = one_book(db, id)  # found
                if book is None:
                    return None
                lent.append(book)
            return lent
    """),
    Good(
        f"""{TABLES}
        @app.get("/books")
        def books(db: Session = Depends(get_db)):
            rows = db.scalars(select(Book).options(joinedload(Book.author))).all()
            return [(row.author.name, row.author_id, row.prizes) for row in rows]

        def with_all(db, *loaders):
            return db.scalars(select(Book).options(*loaders)).all()

        @app.get("/covers")
        def covers(db: Session = Depends(get_db)):
            return [row.covers for row in with_all(db, selectinload(Book.covers))]

        @app.get("/one")
        def one(db: Session = Depends(get_db)):
            book = db.get(Book, 1)
            return book.author.name

        def names(authors: list[Author]):
            return [[book.id for book in author.books] for author in authors]

        @app.get("/names")
        def all_names(db: Session = Depends(get_db)):
            return names(db.scalars(select(Author).options(selectinload(Author.books))).all())
    """,
        "the query loads it, or the table does, or it is read of one row",
    ),
]
CASES = [pytest.param(name, one, id=f"{name}-{n}") for name, cases in MORE.items() for n, one in enumerate(cases)]


@pytest.mark.parametrize(("name", "example"), CASES)
def test_the_marked_lines_are_found_and_no_others(name: str, example: Example) -> None:
    """As `test_rules` asks of the examples in a rule's file."""
    report = examples.report(catalogue()[name], example, None)
    assert not report.failures
    assert {(finding.path, finding.line) for finding in report.findings} == examples.expected(example)
    assert bool(examples.expected(example)) == isinstance(example, Bad)
