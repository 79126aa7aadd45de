"""A service whose database is not there, with the routers that make a server's traceback long; started by the tests."""

from contextlib import AbstractAsyncContextManager

import psycopg
from fastapi import APIRouter, FastAPI

from fastness.lifespan import Managed, Resources


class _Connection(AbstractAsyncContextManager[psycopg.AsyncConnection]):
    async def __aenter__(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect("postgresql://app:hunter2@127.0.0.1:1/app", connect_timeout=60)

    async def __aexit__(self, *exc_info: object) -> None:
        raise AssertionError("never opened")


app = FastAPI(lifespan=Resources([Managed("database", _Connection, hint="Set DATABASE_URL.")]).lifespan)
for number in range(3):
    app.include_router(APIRouter(prefix=f"/{number}"))
