"""The service as a whole: who may call, what strangers send, what the platform asks."""

import asyncio
from pathlib import Path

import httpx2
from fastapi import FastAPI
from fastness import testing
from fastness.testing.leaks import no_leaks
from pydantic import SecretStr

from app.core.config import Settings
from app.core.slo import SLOS
from app.main import create_app
from tests.conftest import Token


async def test_who_am_i(client: httpx2.AsyncClient, token: Token) -> None:
    """The caller as its token says."""
    answer = await client.get("/v1/whoami", headers=token(tenant="globex", scopes=["events:read"]))
    assert answer.json() == {"subject": "developer", "tenant": "globex", "scopes": ["events:read"]}


async def test_no_guarded_route_answers_without_a_token(app: FastAPI) -> None:
    """All of them: the document names each, and each refuses a stranger before it looks at anything else."""
    async with testing.client(app) as client:
        for path, operations in app.openapi()["paths"].items():
            for method in operations:
                answer = await client.request(method, path)
                assert answer.status_code == 401, f"{method} {path}"
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_service_is_ready_and_closes_everything(app: FastAPI) -> None:
    """Probes need no token, and nothing is left open."""
    async with no_leaks(), testing.client(app) as client:
        for path in ("/livez", "/readyz", "/startupz", "/version", "/metrics"):
            assert (await client.get(path)).status_code == 200, path


# feature: example
async def test_a_database_without_tables_is_not_ready(tmp_path: Path) -> None:
    """The service starts, says why it is not ready, and never migrates by itself."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    app = create_app(Settings(environment="test", database_url=SecretStr(url), dev_key_directory=str(tmp_path)))
    async with testing.client(app) as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "failing"


# /feature: example
async def test_a_database_that_is_away_is_not_ready(tmp_path: Path) -> None:
    """The process lives on, and nothing of the URL is shown."""
    url = "postgresql://relay:hunter2@127.0.0.1:9/relay"
    app = create_app(Settings(environment="test", database_url=SecretStr(url), dev_key_directory=str(tmp_path)))
    async with testing.client(app) as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "hunter2" not in answer.text


async def test_an_unknown_path_is_a_problem(client: httpx2.AsyncClient) -> None:
    """With the request id and the security headers of every answer."""
    answer = await client.get("/nowhere", headers={"x-request-id": "abc-123"})
    assert (answer.status_code, answer.json()["status"], answer.json()["request_id"]) == (404, 404, "abc-123")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_error_of_ours_says_nothing_of_itself(app: FastAPI) -> None:
    """500, the request id, and no text of the exception."""

    async def fail() -> None:
        raise RuntimeError("hunter2")

    app.add_api_route("/broken", fail)
    async with testing.client(app, raise_errors=False) as client:
        answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "hunter2" not in answer.text


async def test_under_maintenance_only_probes_and_metrics_are_served(tmp_path: Path) -> None:
    """The file is the switch, for every process that sees it; balancers keep the instance."""
    file = tmp_path / "maintenance"
    file.touch()
    url = SecretStr(f"sqlite:///{tmp_path / 'empty.db'}")
    app = create_app(Settings(environment="test", database_url=url, dev_key_directory=str(tmp_path), maintenance_file=file))
    async with testing.client(app) as client:
        answer = await client.get("/v1/whoami")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert answer.json()["type"] == "urn:problem-type:fastness:maintenance"
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
        for path in ("/livez", "/startupz", "/metrics"):
            assert (await client.get(path)).status_code == 200, path


async def test_every_objective_names_routes_that_exist(app: FastAPI) -> None:
    """An objective of a route that was renamed would measure nothing."""
    paths = app.openapi()["paths"]
    for objective in SLOS:
        for route in objective.routes:
            method, _, path = route.rpartition(" ")
            assert path in paths, route
            assert not method or method.lower() in paths[path], route


async def test_a_request_that_is_cancelled_leaves_the_pool_whole(app: FastAPI, token: Token) -> None:
    """Clients that go away cost nothing for long."""
    async with no_leaks(), testing.client(app, headers=token()) as client:
        tasks = [asyncio.create_task(client.get("/v1/whoami")) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await client.get("/readyz")).status_code == 200
