"""Retries of one request, on SQLite and on PostgreSQL."""

import asyncio
from typing import Any

import httpx2
from fastness import testing
from sqlalchemy import text

from app.core.config import Settings
from app.infra.db.database import make_database
from app.main import create_app
from tests.conftest import Token

EVENT = {"type": "order.paid", "payload": {"id": 1}}

Client = httpx2.AsyncClient


async def send(client: Client, key: str, event: dict[str, Any] = EVENT) -> httpx2.Response:
    return await client.post("/v1/events", json=event, headers={"idempotency-key": key})


async def events(client: Client) -> list[str]:
    return [event["id"] for event in (await client.get("/v1/events")).json()["items"]]


async def test_a_retry_makes_no_second_event(client: Client) -> None:
    """It gets the answer to the first request; a new key is a new event."""
    first = await send(client, "a")
    again = await send(client, '"a"')
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    assert (again.status_code, again.content) == (201, first.content)
    assert (again.headers["location"], again.headers["idempotent-replayed"]) == (first.headers["location"], "true")
    other = await send(client, "b")
    assert sorted(await events(client)) == sorted([first.json()["id"], other.json()["id"]])


async def test_ten_at_once_make_one_event(client: Client) -> None:
    """Each is answered with that event, some after a conflict that says when to come back."""

    async def insist() -> str:
        async with asyncio.timeout(120):
            while True:
                answer = await send(client, "a")
                if answer.status_code == 201:
                    made: str = answer.json()["id"]
                    return made
                assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
                await asyncio.sleep(0.05)

    ids = await asyncio.gather(*(insist() for _ in range(10)))
    assert set(ids) == set(await events(client))
    assert len(set(ids)) == 1


async def test_a_key_belongs_to_its_request(client: Client) -> None:
    """With another body it is refused, and what was refused can be sent again."""
    assert (await send(client, "a", {"type": "not a type", "payload": {}})).status_code == 422
    made = await send(client, "a")
    assert made.status_code == 201
    other = await send(client, "a", {"type": "order.paid", "payload": {"id": 2}})
    assert (other.status_code, other.json()["title"]) == (422, "The idempotency key was used for another request")
    assert await events(client) == [made.json()["id"]]


async def test_a_retry_makes_no_second_endpoint(client: Client, settings: Settings) -> None:
    """It gets the same secret, which no copy of the database shows."""

    async def subscribe() -> httpx2.Response:
        body = {"url": "https://example.com/hook", "event_types": ["*"]}
        return await client.post("/v1/endpoints", json=body, headers={"idempotency-key": "a"})

    first, again = await subscribe(), await subscribe()
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["etag"] == first.headers["etag"]
    [endpoint] = (await client.get("/v1/endpoints")).json()["items"]
    assert endpoint["id"] == first.json()["id"]
    database = make_database(settings, application="test")
    async with database.unit().reading() as uow:
        stored = (await uow.session.execute(text("SELECT headers, body FROM idempotency_records"))).one()
    await database.close()
    assert b"whsec" not in bytes(stored.body)
    assert first.json()["id"] not in stored.headers


async def test_a_web_page_may_send_a_key_and_read_what_became_of_it(settings: Settings, token: Token) -> None:
    """A browser asks first, and then hides from the page whatever it was not told to show."""
    page = {"origin": "https://shop.example"}
    app = create_app(settings.model_copy(update={"cors_origins": (page["origin"],)}))
    async with testing.client(app, headers={**page, **token()}) as client:
        asked = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,idempotency-key",
        }
        preflight = await client.options("/v1/events", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, page["origin"])
        await send(client, "a")
        again = await send(client, "a")
    shown = {name.strip().lower() for name in again.headers["access-control-expose-headers"].split(",")}
    for name in ("location", "idempotent-replayed", "ratelimit", "ratelimit-policy", "x-request-id"):
        assert name in again.headers
        assert name in shown
    assert "retry-after" in shown
