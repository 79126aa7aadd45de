"""The service that every variant serves: one read and one validated write, nothing that waits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field

# What the variants are told to enforce; never reached while measuring.
HOST = "127.0.0.1"
ORIGIN = "https://app.example.com"
BURST = 100_000_000  # requests of one client at once
SECONDS = 10.0
BODY_BYTES = 1_048_576
IN_FLIGHT = 200


class ItemIn(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    price: Annotated[float, Field(gt=0)]
    tags: Annotated[list[str], Field(max_length=10)] = []


class ItemOut(ItemIn):
    id: int


async def read_item(item_id: int) -> ItemOut:
    return ItemOut(id=item_id, name="lantern", price=12.5, tags=["light", "brass"])


async def create_item(item: ItemIn) -> ItemOut:
    return ItemOut(id=1, name=item.name, price=item.price, tags=item.tags)


def add_routes(app: FastAPI, *, flat: bool = False) -> FastAPI:
    """`app` with the two endpoints on an included router, as real services have them, or `flat` on the app itself.

    Flat is for slowapi, which walks `app.routes` and lets everything on an included router pass unlimited (since FastAPI
    0.137 the routes are a tree). It is a little cheaper, to the advantage of those variants.
    """
    router = app.router if flat else APIRouter()
    router.get("/v1/items/{item_id}")(read_item)
    router.post("/v1/items", status_code=201)(create_item)
    if not flat:
        app.include_router(router)
    return app


def bare() -> FastAPI:
    """FastAPI with nothing added."""
    return add_routes(FastAPI())


def request(method: str, *, headers: dict[str, str] | None = None, body: bytes | None = None) -> bytes:
    """One request as an API client sends it. It starts its own trace, so that sampling is the server's decision."""
    if body is None:
        body = b'{"name": "lantern", "price": 12.5, "tags": ["light", "brass"]}' if method == "POST" else b""
    lines = {"host": HOST, "accept": "application/json", "user-agent": "bench/1.0"}
    if body:
        lines |= {"content-type": "application/json", "content-length": str(len(body))}
    head = [f"{method} {'/v1/items' if method == 'POST' else '/v1/items/7'} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in (lines | (headers or {})).items()]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
