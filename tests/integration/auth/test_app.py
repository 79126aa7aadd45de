"""Guards in a FastAPI app: answers, OpenAPI, WebSockets, audit events, and what happens without configuration."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from fastness import context, openapi, problems
from fastness.auth import (
    JWKS,
    APIKey,
    APIKeyVerifier,
    Authenticator,
    CurrentPrincipal,
    JWTVerifier,
    Method,
    Principal,
    Requires,
    generate_api_key,
)
from fastness.auth.dev import DevIssuer
from fastness.context import ContextMiddleware
from fastness.problems import ProblemMiddleware

BOTH: tuple[Method, ...] = ("jwt", "api_key")


class Counting:
    """Counts how often tokens are verified."""

    def __init__(self, verifier: JWTVerifier) -> None:
        self.verifier = verifier
        self.calls = 0

    async def verify(self, credential: str) -> Principal:
        self.calls += 1
        return await self.verifier.verify(credential)


def make_app(state: dict[str, Any]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield state

    app = FastAPI(
        lifespan=lifespan,
        middleware=[Middleware(ContextMiddleware), Middleware(ProblemMiddleware)],
        exception_handlers=problems.handlers(),
    )
    app.openapi = openapi.document(app)  # type: ignore[method-assign]
    router = APIRouter(prefix="/events", dependencies=[Requires("events:read", by=BOTH)])

    @router.get("")
    async def listing() -> dict[str, Any]:
        current = context.current()
        assert current is not None
        return {"principal": current.principal, "tenant": current.tenant}

    @router.post("")
    async def create(principal: Annotated[Principal, Requires("events:write", by=BOTH)]) -> str:
        return principal.subject

    @app.get("/me")
    async def me(principal: Annotated[Principal, Requires(by=BOTH)]) -> dict[str, Any]:
        return {"subject": principal.subject, "method": principal.method}

    @app.post("/keys", dependencies=[Requires("keys:write")])
    async def keys() -> None:
        return None

    @app.get("/person")
    async def person(principal: CurrentPrincipal) -> str:
        return principal.subject

    @app.get("/open")
    async def unguarded() -> str:
        return "hello"

    @app.websocket("/stream", dependencies=[Requires("events:read")])
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    @router.delete("", dependencies=[Requires("events:read")])
    async def purge() -> None:
        return None

    app.include_router(router)
    return app


class Service:
    """The app, with a local issuer and one stored API key."""

    def __init__(self, directory: Path) -> None:
        self.issuer = DevIssuer(directory, environment="test", audience="relay")
        self.verifier = Counting(self.issuer.verifier())
        self.key = generate_api_key("relay")
        record = APIKey(
            id=self.key.id, hash=self.key.hash, subject="bot", tenant="acme", scopes=frozenset({"events:read", "keys:write"})
        )

        async def lookup(key_id: str) -> APIKey | None:
            return record if key_id == record.id else None

        self.app = make_app({"authenticator": Authenticator(jwt=self.verifier, api_key=APIKeyVerifier(lookup))})

    def token(self, *scopes: str, **options: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.issue_token(subject='ada', scopes=scopes, **options)}"}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(service.app, raise_server_exceptions=False) as client:
        yield client


def test_a_good_token_gets_in_and_is_known_everywhere(service: Service, client: TestClient) -> None:
    """The endpoint runs, and the request's context has principal and tenant."""
    response = client.get("/events", headers=service.token("events:read", tenant="acme"))
    assert response.status_code == 200
    assert response.json() == {"principal": "ada", "tenant": "acme"}


def test_an_api_key_gets_in(service: Service, client: TestClient) -> None:
    """A key is as good as a token, where the endpoint takes keys."""
    assert client.get("/me", headers={"X-API-Key": service.key.key}).json() == {"subject": "bot", "method": "api_key"}
    assert client.get("/events", headers={"X-API-Key": service.key.key}).status_code == 200
    assert client.post("/events", headers={"X-API-Key": service.key.key}).status_code == 403
    assert client.post("/keys", headers={"X-API-Key": service.key.key}).status_code == 401
    assert client.get("/person", headers={"X-API-Key": service.key.key}).status_code == 401
    assert client.get("/person", headers=service.token()).json() == "ada"


@pytest.mark.parametrize("path", ["/events", "/me"])
def test_nobody_gets_401(client: TestClient, path: str) -> None:
    """Without a credential there is a problem, a challenge and a request id."""
    response = client.get(path)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == 'Bearer realm="api", APIKey realm="api"'
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_a_wrong_token_gets_401(service: Service, client: TestClient, tmp_path: Path) -> None:
    """A token of another key, an expired one and garbage get the same answer, byte for byte but for the request id."""
    stranger = DevIssuer(tmp_path / "other", environment="test", audience="relay")
    expired = DevIssuer(tmp_path, environment="test", audience="relay", clock=lambda: 1e9)
    bodies = set()
    for token in (stranger.issue_token(), expired.issue_token(), "garbage", "", "é", "a.b.c", "x" * 9000):
        response = client.get("/events", headers={"Authorization": f"Bearer {token}".encode()})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="api", error="invalid_token", APIKey realm="api"'
        bodies.add(response.text.replace(response.headers["x-request-id"], ""))
    assert len(bodies) == 1


def test_missing_scopes_get_403(service: Service, client: TestClient) -> None:
    """A principal without the scope is told which one it needs."""
    response = client.post("/events", headers=service.token("events:read"))
    assert response.status_code == 403
    assert response.headers["www-authenticate"] == 'Bearer realm="api", error="insufficient_scope", scope="events:write"'
    assert response.json()["required_scopes"] == ["events:write"]
    assert client.post("/events", headers=service.token("events:write")).status_code == 403
    assert client.post("/events", headers=service.token("events:read", "events:write")).status_code == 200


def test_guards_of_one_request_verify_once(service: Service, client: TestClient) -> None:
    """Router and endpoint each have a guard; the signature is checked once, and anew for the next request."""
    for expected in (1, 2):
        assert client.post("/events", headers=service.token("events:read", "events:write")).status_code == 200
        assert service.verifier.calls == expected


def test_an_outer_guard_does_not_open_an_inner_one(service: Service, client: TestClient) -> None:
    """A key that passed the router's guard does not pass an endpoint's that is for tokens, whatever its scopes."""
    assert client.delete("/events", headers=service.token("events:read")).status_code == 200
    assert client.delete("/events", headers={"X-API-Key": service.key.key}).status_code == 401


def test_unguarded_endpoints_stay_open(client: TestClient) -> None:
    """A guard guards what it stands on."""
    assert client.get("/open", headers={"Authorization": "Bearer garbage"}).status_code == 200


def test_refusals_are_audited_without_the_token(service: Service, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """An audit event has the reason and the request id; no log record has the token or the key."""
    token = service.issuer.issue_token(subject="ada")
    with caplog.at_level(logging.DEBUG):
        refused = client.get("/events", headers={"Authorization": f"Bearer {token}x"})
        denied = client.get("/events", headers={"Authorization": f"Bearer {token}"})
        client.get("/me", headers={"X-API-Key": service.key.key[:-1]})
    events = [record.audit for record in caplog.records if record.name == "fastness.audit"]
    assert [(event["action"], event.get("reason"), event["outcome"], event["principal"]) for event in events] == [
        ("auth.refuse", "signature", "denied", None),
        ("auth.deny", None, "denied", "ada"),
        ("auth.refuse", "malformed", "denied", None),
    ]
    assert events[0]["request_id"] == refused.json()["request_id"]
    assert events[1]["request_id"] == denied.json()["request_id"]
    assert events[1]["missing"] == ["events:read"]
    everything = json.dumps([vars(record) for record in caplog.records], default=str)
    assert token.rpartition(".")[2] not in everything
    assert service.key.key.rpartition("_")[2][:-1] not in everything


# --- OpenAPI


def test_openapi_shows_schemes_scopes_and_problems(service: Service) -> None:
    """The document says how to authenticate, which scopes are needed, and what is answered without."""
    document = service.app.openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["Bearer"]["scheme"] == "bearer"
    assert (schemes["APIKey"]["in"], schemes["APIKey"]["name"]) == ("header", "X-API-Key")
    create = document["paths"]["/events"]["post"]
    assert create["security"] == [
        {"Bearer": ["events:read", "events:write"]},
        {"APIKey": ["events:read", "events:write"]},
    ]
    assert "application/problem+json" in create["responses"]["401"]["content"]
    assert "WWW-Authenticate" in create["responses"]["401"]["headers"]
    assert "403" in create["responses"]
    assert document["paths"]["/me"]["get"]["security"] == [{"Bearer": []}, {"APIKey": []}]
    assert "403" not in document["paths"]["/me"]["get"]["responses"]
    assert document["paths"]["/keys"]["post"]["security"] == [{"Bearer": ["keys:write"]}]
    assert document["paths"]["/person"]["get"]["security"] == [{"Bearer": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    assert "401" not in document["paths"]["/open"]["get"]["responses"]
    assert all(not operation.get("parameters") for path in document["paths"].values() for operation in path.values())


# --- WebSockets


def test_websockets_are_guarded(service: Service, client: TestClient) -> None:
    """A handshake without access is closed with 1008 before it is accepted."""
    with client.websocket_connect("/stream", headers=service.token("events:read")) as websocket:
        assert websocket.receive_text() == "hello"
    for headers in ({}, {"Authorization": "Bearer x"}, service.token("other")):
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/stream", headers=headers):
            pass
        assert closed.value.code == 1008


# --- failing closed


@pytest.mark.parametrize("state", [{}, {"authenticator": None}, {"authenticator": object()}])
def test_without_authenticator_nobody_gets_in(
    state: dict[str, Any], caplog: pytest.LogCaptureFixture, service: Service
) -> None:
    """A service that forgot its authenticator answers 500, says in the log what to do, and nothing of it to the client."""
    with TestClient(make_app(state), raise_server_exceptions=False) as client:
        for headers in ({}, service.token("events:read")):
            response = client.get("/events", headers=headers)
            assert response.status_code == 500
            assert "authenticator" not in response.text
        assert client.get("/open").status_code == 200
        with pytest.raises(RuntimeError, match="Authenticator"), client.websocket_connect("/stream"):
            pass
    assert 'yield {"authenticator": Authenticator(...)} from the lifespan' in caplog.text


def test_without_keys_the_answer_is_503(service: Service) -> None:
    """Keys that were never fetched make a token neither good nor bad."""
    verifier = JWTVerifier(issuer="i", audience="a", keys=JWKS("https://issuer.example"), algorithms=("Ed25519",))
    with TestClient(make_app({"authenticator": Authenticator(jwt=verifier)}), raise_server_exceptions=False) as client:
        response = client.get("/me", headers=service.token())
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert "www-authenticate" not in response.headers
        assert "issuer.example" not in response.text
        assert client.get("/me").status_code == 401
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            client.websocket_connect("/stream", headers=service.token("events:read")),
        ):
            pass
        assert closed.value.code == 1013
