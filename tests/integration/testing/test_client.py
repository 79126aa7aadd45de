"""The test client runs the application with its lifespan, as a server would."""

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request

from fastness.testing import client


def make(log):
    @asynccontextmanager
    async def lifespan(app):
        log.append("open")
        yield {"pool": log}
        log.append("close")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def read(request: Request):
        request.state.pool.append("used")
        request.state.mine = not hasattr(request.state, "mine")
        return {"client": request.client.host, "fresh": request.state.mine, "token": request.headers.get("authorization")}

    @app.get("/crash")
    async def crash():
        raise LookupError("inside")

    return app


async def test_the_lifespan_runs_around_the_block():
    """Start-up precedes the first request, shutdown follows the last, and each request has its own copy of the state."""
    log = []
    async with client(make(log), headers={"Authorization": "Bearer t"}, address=("192.0.2.7", 1)) as http:
        for _ in range(2):
            answer = await http.get("/")
            assert answer.json() == {"client": "192.0.2.7", "fresh": True, "token": "Bearer t"}
        assert str(answer.url) == "http://testserver/"
    assert log == ["open", "used", "used", "close"]


async def test_errors_are_raised_or_answered():
    """An exception of the application reaches the test, or is the 500 that a client would get."""
    app = make([])
    async with client(app) as http:
        with pytest.raises(LookupError, match="inside"):
            await http.get("/crash")
    async with client(app, raise_errors=False) as http:
        assert (await http.get("/crash")).status_code == 500


async def test_an_application_that_does_not_start_fails_the_test():
    """A failing start-up is raised with its cause, before any request."""

    @asynccontextmanager
    async def lifespan(app):
        raise OSError("no database")
        yield

    with pytest.raises(RuntimeError, match="no database") as caught:
        async with client(FastAPI(lifespan=lifespan)):
            pass
    assert isinstance(caught.value.__cause__, OSError)
