"""The health endpoints over HTTP."""

import logging

import pytest
from fastapi import FastAPI

from fastness import health
from fastness.lifespan import Drain, Managed, Resources
from fastness.testing import client


class Database:
    """A resource whose check fails when told to."""

    name = "database"

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self) -> None:
        if self.error is not None:
            raise self.error


def service(*resources: Database | Managed[None], drain: Drain | None = None) -> tuple[FastAPI, Resources]:
    """An app with nothing but resources and health."""
    made = Resources(resources, drain=drain)
    app = FastAPI(lifespan=made.lifespan)
    app.include_router(health.router(made, cache_for=0))
    return app, made


async def test_a_healthy_service_answers_every_probe() -> None:
    """Alive, started and ready are 200 with a small JSON document that nobody may cache."""
    app, _ = service(Database())
    async with client(app) as http:
        for path, document in (
            ("/livez", {"status": "alive"}),
            ("/startupz", {"status": "started"}),
            ("/readyz", {"status": "ready", "checks": {"database": "ok"}}),
        ):
            answer = await http.get(path)
            assert answer.status_code == 200
            assert answer.json() == document
            assert answer.headers["cache-control"] == "no-store"
            assert (await http.head(path)).status_code == 200


async def test_a_failing_resource_is_a_problem_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """Readiness answers 503 with the states of all resources; why is in the log alone, and the process stays alive."""
    database = Database()
    app, _ = service(database)
    async with client(app) as http:
        database.error = OSError("password rejected for app")
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "type": "urn:problem-type:fastness:not-ready",
            "title": "The service is not ready",
            "status": 503,
            "detail": "The service cannot use all that it needs.",
            "checks": {"database": "failing"},
        }
        assert (await http.head("/readyz")).status_code == 503
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/startupz")).status_code == 200
    assert "password rejected" in caplog.text


async def test_a_draining_service_is_not_ready_but_alive() -> None:
    """While it drains, readiness fails at once, whatever was cached, and liveness does not."""
    app, resources = service(Database(), drain=Drain(delay=60))
    async with client(app) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert not resources.draining
        resources._drain.begin()  # type: ignore[union-attr]
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "The service is draining.")
        assert (await http.get("/livez")).status_code == 200


async def test_a_starting_service_is_neither_started_nor_ready() -> None:
    """Before the resources are open, start-up and readiness say so, and liveness answers."""
    resources = Resources([Database()])
    app = FastAPI()  # as if the lifespan had not come to its end yet
    app.include_router(health.router(resources))
    async with client(app) as http:
        for path in ("/startupz", "/readyz"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["detail"]) == (503, "The service is starting.")
        assert (await http.get("/livez")).status_code == 200


async def test_a_condition_keeps_the_service_unready() -> None:
    """A schema that is behind makes the service unready until it has been migrated."""
    current = False

    async def schema_is_current() -> bool:
        return current

    app = FastAPI()
    app.include_router(health.router([Database()], conditions={"schema": schema_is_current}, cache_for=0))
    async with client(app) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"database": "ok", "schema": "failing"}
        current = True
        assert (await http.get("/readyz")).status_code == 200


async def test_version_comes_from_arguments_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not given is read from the environment, and what is nowhere is null."""
    monkeypatch.setenv("SERVICE_VERSION", "9.9.9")
    monkeypatch.setenv("SERVICE_COMMIT", "abc123")
    monkeypatch.delenv("SERVICE_BUILD", raising=False)
    app = FastAPI()
    app.include_router(health.router(version="1.2.3"))
    async with client(app) as http:
        answer = await http.get("/version")
        assert answer.json() == {"version": "1.2.3", "commit": "abc123", "build": None}
        assert answer.headers["cache-control"] == "no-store"
        assert (await http.head("/version")).status_code == 200


async def test_health_is_in_openapi_only_when_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Probes are no part of the API by default; when shown, each is one GET operation."""
    for shown in (False, True):
        app = FastAPI()
        app.include_router(health.router(include_in_schema=shown))
        with caplog.at_level(logging.WARNING):
            paths = app.openapi()["paths"]
        assert set(paths) == (health.PATHS if shown else set())
        assert all(set(operations) == {"get"} for operations in paths.values())
