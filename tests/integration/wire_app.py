"""A service behind every layer of ours, for tests that speak to a real server over a socket."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from fastapi.middleware import Middleware
from pydantic import BaseModel, ConfigDict, Field

from fastness import problems
from fastness.context import ContextMiddleware
from fastness.deadline import Deadline, DeadlineMiddleware
from fastness.overload import OverloadMiddleware
from fastness.problems import ProblemMiddleware
from fastness.security import SecurityMiddleware, SecurityPolicy

app = FastAPI(
    middleware=[
        Middleware(ContextMiddleware),
        Middleware(SecurityMiddleware, policy=SecurityPolicy(hosts=("127.0.0.1",), max_body_size=100_000)),
        Middleware(OverloadMiddleware),
        Middleware(DeadlineMiddleware, default=60.0),  # a busy machine is not what is tested
        Middleware(ProblemMiddleware),
    ],
    exception_handlers=problems.handlers(),
)


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    # A bound makes Pydantic look at the characters too: without one, a lone surrogate would come through.
    name: Annotated[str, Field(max_length=100)]
    parts: list[object] = []


@app.post("/items")
async def create(item: Item) -> Item:
    return item


@app.get("/search")
async def search(q: Annotated[str, Query(max_length=10)] = "") -> str:
    return q


@app.get("/slow", dependencies=[Depends(Deadline(0.2))])
async def slow() -> None:
    await asyncio.Event().wait()


@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("password=hunter2")
