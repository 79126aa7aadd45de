"""The API over HTTP, on SQLite and on PostgreSQL."""

from typing import Any

import httpx2
import pytest

from app import NAME
from tests.conftest import SCOPES, Token

ENDPOINT = {"url": "https://example.com/hook", "event_types": ["order.*"]}
EVENT = {"type": "order.paid", "payload": {"id": 1}}

Client = httpx2.AsyncClient


async def make_endpoint(client: Client, **changes: Any) -> httpx2.Response:
    answer = await client.post("/v1/endpoints", json={**ENDPOINT, **changes})
    assert answer.status_code == 201, answer.text
    return answer


async def test_an_endpoint_shows_its_secret_once(client: Client) -> None:
    """When it is made, and never again."""
    made = await make_endpoint(client, description="orders")
    body = made.json()
    assert body["secret"].startswith("whsec_")
    read = await client.get(made.headers["location"])
    assert read.status_code == 200
    assert read.headers["etag"] == made.headers["etag"] == '"1"'
    assert read.json() == {key: value for key, value in body.items() if key != "secret"}
    listed = await client.get("/v1/endpoints")
    assert listed.json() == {"items": [read.json()], "next_cursor": None}


async def test_a_change_needs_the_version_that_was_read(client: Client) -> None:
    """428 without it, 412 with an older one, and the new version comes back."""
    location = (await make_endpoint(client)).headers["location"]
    changed = {**ENDPOINT, "description": "new", "enabled": False}
    assert (await client.put(location, json=changed)).status_code == 428
    for stale in ('"7"', 'W/"1"', "1", ""):
        assert (await client.put(location, json=changed, headers={"if-match": stale})).status_code == 412, stale
    answer = await client.put(location, json=changed, headers={"if-match": '"0", "1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert (answer.json()["description"], answer.json()["enabled"]) == ("new", False)
    assert (await client.put(location, json=changed, headers={"if-match": '"1"'})).status_code == 412
    assert (await client.put(location, json=changed, headers={"if-match": "*"})).status_code == 200


async def test_an_endpoint_is_deleted_as_it_was_read(client: Client) -> None:
    """And is gone then."""
    location = (await make_endpoint(client)).headers["location"]
    assert (await client.delete(location)).status_code == 428
    assert (await client.delete(location, headers={"if-match": '"2"'})).status_code == 412
    assert (await client.delete(location, headers={"if-match": '"1"'})).status_code == 204
    assert (await client.get(location)).status_code == 404


async def test_a_rotated_secret_is_new_and_the_old_one_has_an_end(client: Client) -> None:
    """It is shown once, too."""
    made = await make_endpoint(client)
    answer = await client.post(f"{made.headers['location']}/rotate-secret", json={"overlap_seconds": 60})
    assert answer.status_code == 200
    assert answer.json()["secret"] not in ("", made.json()["secret"])
    assert answer.json()["previous_secret_expires_at"] is not None
    at_once = await client.post(f"{made.headers['location']}/rotate-secret", json={"overlap_seconds": 0.0})
    assert at_once.json()["previous_secret_expires_at"] is None


async def test_secrets_are_not_rotated_all_the_time(client: Client) -> None:
    """Ten at once, then 429 with the time to wait; one comes back every six seconds, which a busy machine may need."""
    location = (await make_endpoint(client)).headers["location"]
    served = 0
    while (answer := await client.post(f"{location}/rotate-secret", json={})).status_code == 200 and served < 50:
        served += 1
    assert (answer.status_code, served >= 10) == (429, True)
    assert int(answer.headers["retry-after"]) >= 1


async def test_an_event_causes_deliveries(client: Client) -> None:
    """One for each endpoint that wants its type, pending until it is made."""
    wanted = (await make_endpoint(client)).json()
    await make_endpoint(client, event_types=["user.*"])
    made = await client.post("/v1/events", json=EVENT)
    assert made.status_code == 201
    event = made.json()
    assert (await client.get(made.headers["location"])).json() == event
    [delivery] = (await client.get("/v1/deliveries", params={"event_id": event["id"]})).json()["items"]
    assert (delivery["endpoint_id"], delivery["status"], delivery["attempts"]) == (wanted["id"], "pending", 0)
    report = (await client.get(f"/v1/deliveries/{delivery['id']}")).json()
    assert report == {**delivery, "history": []}
    retry = await client.post(f"/v1/deliveries/{delivery['id']}/retry")
    assert (retry.status_code, retry.json()["type"]) == (409, f"urn:problem-type:{NAME}:delivery-not-finished")


async def test_lists_are_filtered_and_paged(client: Client) -> None:
    """Every item once, newest first, and none that was not asked for."""
    for kind in ("order.paid", "order.sent", "order.paid", "order.paid"):
        await client.post("/v1/events", json={"type": kind, "payload": {}})
    seen, cursor = [], None
    while True:
        params: dict[str, str | int] = {"type": "order.paid", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/events", params=params)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 3
    assert [item["id"] for item in seen] == sorted((item["id"] for item in seen), reverse=True)
    assert {item["type"] for item in seen} == {"order.paid"}
    assert "payload" not in seen[0]


async def test_another_tenants_things_are_not_found(client: Client, token: Token) -> None:
    """Not one of them, by whatever way; and lists are empty."""
    location = (await make_endpoint(client)).headers["location"]
    event = (await client.post("/v1/events", json=EVENT)).headers["location"]
    [delivery] = (await client.get("/v1/deliveries")).json()["items"]
    stranger = token(tenant="globex")
    match = {**stranger, "if-match": "*"}
    for answer in (
        await client.get(location, headers=stranger),
        await client.put(location, headers=match, json=ENDPOINT),
        await client.delete(location, headers=match),
        await client.post(f"{location}/rotate-secret", headers=stranger, json={}),
        await client.get(event, headers=stranger),
        await client.get(f"/v1/deliveries/{delivery['id']}", headers=stranger),
        await client.post(f"/v1/deliveries/{delivery['id']}/retry", headers=stranger),
    ):
        assert (answer.status_code, answer.json()["type"]) == (404, f"urn:problem-type:{NAME}:not-found")
    for path in ("/v1/endpoints", "/v1/events", "/v1/deliveries"):
        assert (await client.get(path, headers=stranger)).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/endpoints", "endpoints:read"),
        ("POST", "/v1/endpoints", "endpoints:write"),
        ("PUT", "/v1/endpoints/ep_00000000000000000000000000000000", "endpoints:write"),
        ("DELETE", "/v1/endpoints/ep_00000000000000000000000000000000", "endpoints:write"),
        ("POST", "/v1/endpoints/ep_00000000000000000000000000000000/rotate-secret", "endpoints:write"),
        ("GET", "/v1/events", "events:read"),
        ("POST", "/v1/events", "events:write"),
        ("GET", "/v1/deliveries", "deliveries:read"),
        ("POST", "/v1/deliveries/dlv_00000000000000000000000000000000/retry", "deliveries:write"),
    ],
)
async def test_each_route_needs_its_scope(client: Client, token: Token, method: str, path: str, scope: str) -> None:
    """All other scopes together do not do."""
    headers = token(scopes=[other for other in SCOPES if other != scope])
    answer = await client.request(method, path, headers=headers, json={})
    assert (answer.status_code, answer.json()["required_scopes"]) == (403, [scope])


async def test_a_token_without_a_tenant_is_of_no_use_here(client: Client, token: Token) -> None:
    """There is no tenant to look for, so nothing is looked for."""
    answer = await client.get("/v1/endpoints", headers=token(tenant=None))
    assert (answer.status_code, answer.json()["type"]) == (403, f"urn:problem-type:{NAME}:no-tenant")


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"url": "not a url"},
        {"url": "https://user:password@example.com"},
        {"url": "https://example.com/" + "a" * 2048},
        {"event_types": []},
        {"event_types": ["or*"]},
        {"event_types": ["*"] * 51},
        {"enabled": "true"},
        {"enabled": 1},
        {"description": "x" * 501},
        {"description": "a\nb"},
        {"description": None},
    ],
)
async def test_an_endpoint_that_does_not_fit_the_schema_is_refused(client: Client, change: dict[str, Any]) -> None:
    """Unknown fields, other types, unbounded values; what was sent is not echoed."""
    answer = await client.post("/v1/endpoints", json={**ENDPOINT, **change})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:fastness:validation")
    assert "password" not in answer.text


async def test_a_payload_comes_back_as_it_was_sent(client: Client) -> None:
    """Control characters, large numbers, empty names, depth."""
    payload = {"": [None, True, 1.5, -(10**40), "\0\N{SNOWMAN}\U0001f600"], "deep": {"a": [[[[{"b": {}}]]]]}}
    made = await client.post("/v1/events", json={"type": "a.b", "payload": payload})
    assert made.status_code == 201
    assert (await client.get(made.headers["location"])).json()["payload"] == payload


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events?limit=0",
        "/v1/events?limit=101",
        "/v1/events?limit=x",
        "/v1/events?cursor=x",
        "/v1/events?unknown=1",
        "/v1/events?type=A",
        "/v1/deliveries?status=unknown",
        "/v1/deliveries?endpoint_id=evt_00000000000000000000000000000000",
        "/v1/events/evt_0",
        "/v1/events/ep_00000000000000000000000000000000",
    ],
)
async def test_malformed_parameters_are_refused(client: Client, path: str) -> None:
    """Before the database is asked."""
    assert (await client.get(path)).status_code == 422


async def test_a_cursor_made_up_by_a_client_is_a_position(client: Client) -> None:
    """Nothing is found there that is not the tenant's own."""
    answer = await client.get("/v1/events", params={"cursor": "_" * 21 + "w"})
    assert answer.json() == {"items": [], "next_cursor": None}
