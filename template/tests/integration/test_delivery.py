"""From an event over HTTP to a signed request at the subscriber, and what is remembered of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastness import testing
from sqlalchemy import text
from standardwebhooks import Webhook

from app import NAME, worker
from app.core.config import Settings
from app.domain import deliveries
from app.infra.db.database import make_database
from app.infra.jobs import tasks
from app.main import create_app
from tests.conftest import Token
from tests.integration.receiver import OK, Receiver, answer, receiving


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A busy machine is not what is tested."""
    return settings.model_copy(update={"delivery_time_limit": 60.0})


@pytest.fixture
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker beside the server."""
    async with worker.make_resources(settings).lifespan():
        yield


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def subscribe(client: httpx2.AsyncClient, receiver: Receiver) -> dict[str, Any]:
    made: dict[str, Any] = (await client.post("/v1/endpoints", json={"url": receiver.url, "event_types": ["*"]})).json()
    return made


async def send_event(client: httpx2.AsyncClient) -> dict[str, Any]:
    made: dict[str, Any] = (await client.post("/v1/events", json={"type": "order.paid", "payload": {"id": 1}})).json()
    return made


async def report(client: httpx2.AsyncClient, *, attempts: int) -> dict[str, Any]:
    """The only delivery, once so many attempts were made."""
    async with asyncio.timeout(60):
        while True:
            [delivery] = (await client.get("/v1/deliveries")).json()["items"]
            if delivery["attempts"] >= attempts:
                found: dict[str, Any] = (await client.get(f"/v1/deliveries/{delivery['id']}")).json()
                return found
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("working")
async def test_an_event_arrives_signed(client: httpx2.AsyncClient, receiver: Receiver) -> None:
    """The public verifier accepts it with the secret that was shown, and the delivery has succeeded."""
    endpoint = await subscribe(client, receiver)
    event = await send_event(client)
    delivery = await report(client, attempts=1)
    [(headers, body)] = receiver.requests
    received = Webhook(endpoint["secret"]).verify(body, headers)
    assert headers["webhook-id"] == event["id"]
    assert received == {"type": "order.paid", "timestamp": event["created_at"], "data": {"id": 1}}
    assert (delivery["status"], delivery["next_attempt_at"]) == ("succeeded", None)
    [attempt] = delivery["history"]
    assert (attempt["number"], attempt["status_code"], attempt["error"]) == (1, 204, None)


@pytest.mark.usefixtures("working")
async def test_a_failure_is_remembered_and_tried_again_by_hand(client: httpx2.AsyncClient, receiver: Receiver) -> None:
    """410 ends it and disables the endpoint; once that is enabled again, a retry succeeds."""
    endpoint = await subscribe(client, receiver)
    receiver.answers = [answer(410, b"nobody here")]
    await send_event(client)
    failed = await report(client, attempts=1)
    assert (failed["status"], failed["history"][0]["response_excerpt"]) == ("failed", "nobody here")
    location = f"/v1/endpoints/{endpoint['id']}"
    disabled = await client.get(location)
    assert (disabled.json()["enabled"], disabled.json()["disabled_reason"]) == (False, "gone")
    retry = f"/v1/deliveries/{failed['id']}/retry"
    assert (await client.post(retry)).json()["type"] == f"urn:problem-type:{NAME}:endpoint-disabled"
    settings = {"url": receiver.url, "event_types": ["*"], "enabled": True}
    await client.put(location, json=settings, headers={"if-match": disabled.headers["etag"]})
    assert (await client.post(retry)).status_code == 202
    assert (await report(client, attempts=2))["status"] == "succeeded"
    (first, _), (second, _) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]


@pytest.mark.usefixtures("working")
async def test_during_a_rotation_both_secrets_verify(client: httpx2.AsyncClient, receiver: Receiver) -> None:
    """A receiver may change over at any moment of the overlap."""
    endpoint = await subscribe(client, receiver)
    rotated = (await client.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret", json={})).json()
    await send_event(client)
    await report(client, attempts=1)
    [(headers, body)] = receiver.requests
    for secret in (endpoint["secret"], rotated["secret"]):
        Webhook(secret).verify(body, headers)


async def test_what_was_pending_is_delivered_after_a_restart(app: FastAPI, settings: Settings, token: Token) -> None:
    """The server that took the event is gone; the worker that comes later makes the delivery."""
    async with receiving() as receiver:
        async with testing.client(app, headers=token()) as client:
            await subscribe(client, receiver)
            await send_event(client)
        assert not receiver.requests
        async with worker.make_resources(settings).lifespan():
            await asyncio.wait_for(receiver.arrived.wait(), 60)
        async with testing.client(create_app(settings), headers=token()) as client:
            assert (await report(client, attempts=1))["status"] == "succeeded"


async def test_a_receiver_that_fails_is_asked_again_by_itself(
    client: httpx2.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the delay of the schedule, by a job that waits for it; the endpoint shows since when it fails."""
    monkeypatch.setattr(deliveries, "RETRY_SCHEDULE", (0, 1))
    seen = asyncio.Event()

    async def once_seen(writer: asyncio.StreamWriter) -> None:
        await seen.wait()
        writer.write(OK)

    async with receiving(answer(500), once_seen) as receiver:
        endpoint = await subscribe(client, receiver)
        await send_event(client)
        async with worker.make_resources(settings).lifespan():
            failed = await report(client, attempts=1)
            assert failed["status"] == "pending"
            failing = (await client.get(f"/v1/endpoints/{endpoint['id']}")).json()
            assert failing["failing_since"] is not None
            assert failing["disabled_reason"] is None
            seen.set()
            succeeded = await report(client, attempts=2)
    assert (succeeded["status"], len(receiver.requests)) == ("succeeded", 2)
    first, second = (datetime.fromisoformat(attempt["started_at"]) for attempt in succeeded["history"])
    assert (second - first).total_seconds() >= 0.8
    assert (await client.get(f"/v1/endpoints/{endpoint['id']}")).json()["failing_since"] is None


async def test_answers_that_no_retry_can_ask_for_are_deleted(settings: Settings, client: httpx2.AsyncClient) -> None:
    """By the worker, every hour."""
    database = make_database(settings, application="test")
    for key in ("old", "new"):
        body = {"type": "order.paid", "payload": {}}
        assert (await client.post("/v1/events", json=body, headers={"idempotency-key": key})).status_code == 201
    async with database.unit() as uow:
        old = "(SELECT id FROM idempotency_records LIMIT 1)"
        await uow.session.execute(text(f"UPDATE idempotency_records SET expires_at = 1 WHERE id = {old}"))
    await tasks.prune_idempotency_records(database)
    async with database.unit().reading() as uow:
        assert await uow.session.scalar(text("SELECT count(*) FROM idempotency_records")) == 1
    await database.close()
    assert tasks.prune_idempotency_records in [item.task for item in tasks.PERIODIC]


@pytest.mark.usefixtures("working")
async def test_the_business_counts_apart(app: FastAPI, client: httpx2.AsyncClient, receiver: Receiver) -> None:
    """Events and attempts have a section of their own on `/metrics`."""
    await subscribe(client, receiver)
    await send_event(client)
    await report(client, attempts=1)
    shown = (await client.get("/metrics", params={"section": "business"})).text
    assert 'business_delivery_attempts_total{error="none",status="succeeded"}' in shown
    assert "business_events_accepted_total" in shown
    assert "http_server" not in shown
