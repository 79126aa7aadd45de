"""What rules find and leave alone in forms for which their own files have no room: the marked lines, and no others."""

import pytest

from fastness.tool.check import examples
from fastness.tool.check.rule import Bad, Good
from fastness.tool.check.rules import catalogue

UNAUTHENTICATED = "security/unauthenticated-endpoint"
EXAMPLES = {
    "a guard that no word names": (
        UNAUTHENTICATED,
        """
        from fastapi import APIRouter, Depends, HTTPException, Request, status

        router = APIRouter()

        class Member:
            def __init__(self, level: int = 0):
                self.level = level

            def __call__(self, request: Request):
                if request.session.get("level", -1) < self.level:
                    raise HTTPException(status_code=status.HTTP_403_FORBIDDEN)

        def page(skip: int = 0):
            if skip > 100:
                raise HTTPException(status_code=422)

        @router.put("/boards/{id}")
        def replace(id: int, member=Depends(Member())): ...

        @router.patch("/boards/{id}")
        def change(id: int, member=Depends(Member(2))): ...

        @router.delete("/boards/{id}")
        def remove(id: int, asked=Depends(page)): ...  # found
        """,
    ),
    "a connection of a driver in a loop": (
        "persistence/query-in-loop",
        """
        import sqlite3
        from fastapi import Depends, FastAPI

        app = FastAPI()

        def connected():
            connection = sqlite3.connect("rooms.db")
            try:
                yield connection
            finally:
                connection.close()

        @app.get("/rooms")
        def rooms(houses: str, db: sqlite3.Connection = Depends(connected)):
            found = []
            for house in houses.split(","):
                found += db.execute("select * from rooms where house = ?", (house,)).fetchall()  # found
            return found

        @app.post("/rooms")
        def create(names: list[str], db=Depends(connected)):
            statement = "insert into rooms values (?)"
            for name in names:
                db.execute(statement, (name,))

        @app.get("/houses")
        def all_houses(db=Depends(connected)):
            return [row[0] for row in db.execute("select id from houses")]
        """,
    ),
    "a commit on a driver's connection after the answer": (
        "persistence/commit-after-response",
        """
        import aiosqlite
        from fastapi import Depends, FastAPI

        app = FastAPI()

        async def connected():
            async with aiosqlite.connect("rooms.db") as connection:
                yield connection
                await connection.commit()  # found

        @app.post("/rooms")
        async def create(db=Depends(connected)): ...
        """,
    ),
    "a pool of psycopg, which commits when its connection is given back": (
        "persistence/commit-after-response",
        """
        from typing import cast
        from fastapi import Depends, FastAPI, Request
        from psycopg_pool import AsyncConnectionPool

        app = FastAPI()

        async def connected(request: Request):
            pool = cast(AsyncConnectionPool, request.state.pool)
            async with pool.connection() as connection:  # found
                yield connection

        @app.post("/rooms")
        async def create(db=Depends(connected)): ...
        """,
    ),
    "one driver's connection for all requests": (
        "persistence/session-shared-by-requests",
        """
        import psycopg2
        from fastapi import FastAPI

        app = FastAPI()
        connection = psycopg2.connect("dbname=rooms")  # found

        @app.get("/rooms")
        def rooms():
            with connection.cursor() as cursor:
                cursor.execute("select * from rooms")
                return cursor.fetchall()
        """,
    ),
    "what a class holds, and its class methods fill": (
        "concurrency/shared-mutable-state",
        """
        from fastapi import FastAPI

        app = FastAPI()

        class Carts:
            open: dict[str, list[str]] = {}
            paid: set[str] = set()
            reserved: dict[str, str] = {}
            last: dict[str, float] = {}
            totals: dict[str, int] = {}

            @classmethod
            def add(cls, user: str, item: str):
                cls.open.setdefault(user, []).append(item)  # found

            @staticmethod
            def pay(user: str):
                Carts.paid.add(user)  # found

            @classmethod
            def reserve(cls, user: str, item: str):
                cls.reserved[item] = user

            def release(self, item: str):
                del self.reserved[item]

            @classmethod
            def remind(cls, user: str, now: float):
                if now - cls.last.get(user, 0) > 60:
                    cls.last[user] = now

            @classmethod
            def of(cls, user: str):
                if user not in cls.totals:
                    cls.totals[user] = len(user)
                return cls.totals[user]

        @app.post("/carts")
        def change(user: str, item: str, now: float):
            Carts.of(user)
            Carts.add(user, item)
            Carts.pay(user)
            Carts.reserve(user, item)
            Carts.remind(user, now)
        """,
    ),
    "where a key lies, and a script that is asked for a token": (
        "security/secret-in-log",
        """
        # file: app/worker.py
        import logging
        import os
        from pathlib import Path

        logger = logging.getLogger(__name__)
        PRIVATE_KEY = Path(os.environ["PRIVATE_KEY"]).expanduser()

        def check(private_key: str):
            logger.info("the key is at %s", PRIVATE_KEY)
            logger.info("the key is %s", private_key)  # found
        # file: tools/token.py
        import sys

        def main(user):
            access_token = user
            print(access_token)

        if __name__ == "__main__":
            main(*sys.argv[1:])
        """,
    ),
    "what is kept beside a client when that is made": (
        "concurrency/shared-mutable-state",
        """
        from fastapi import FastAPI
        from minio import Minio

        app = FastAPI()
        client = bucket = latest = None

        def connected(address: str, name: str):
            global client, bucket
            if client is not None:
                return client
            client = Minio(address)
            bucket = name
            return client

        def named(name: str):
            global latest
            if not name:
                return
            latest = name  # found

        @app.get("/files/{name}")
        def file(name: str):
            named(name)
            return connected("files:9000", name).get_object(bucket, name)
        """,
    ),
    "a key error with words of the project's own": (
        "reliability/exception-text-in-response",
        """
        from fastapi import FastAPI, HTTPException

        app = FastAPI()
        orders = {}

        def order(id: int):
            if id not in orders:
                raise KeyError(f"there is no order {id}")
            return orders[id]

        @app.get("/orders/{id}")
        def one(id: int):
            try:
                return order(id)
            except KeyError as error:
                raise HTTPException(404, str(error))

        @app.get("/orders/{id}/lines")
        def lines(id: int):
            try:
                return orders[id]["lines"]
            except KeyError as error:
                raise HTTPException(404, str(error))  # found
        """,
    ),
    "a login that is called authorisation": (
        "security/unlimited-login",
        """
        from fastapi import APIRouter, Depends
        from pydantic import BaseModel

        class Given(BaseModel):
            login: str
            password: str

        class Asked(BaseModel):
            scope: str

        router = APIRouter(prefix="/auth")

        @router.post("/authorize")
        def authorize(given: Given): ...  # found

        @router.post("/grants/authorize")
        def grant(asked: Asked): ...

        def caller() -> Given: ...

        @router.post("/jobs/reset")
        def reset(by: Given = Depends(caller)): ...
        """,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_other_words(name: str) -> None:
    """A rule finds the lines that an example marks."""
    rule, source = EXAMPLES[name]
    example = (Bad if "# found" in source else Good)(source)
    report = examples.report(catalogue()[rule], example)
    assert not report.failures
    assert not report.not_checked
    assert {(finding.path, finding.line) for finding in report.findings} == examples.expected(example)
