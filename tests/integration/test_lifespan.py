"""Resources as FastAPI's lifespan, and what a server prints when one does not open."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request

from fastness.lifespan import Managed, Resources
from fastness.testing import client

HERE = Path(__file__).parent


async def test_resources_are_found_on_the_request_state() -> None:
    """An endpoint, also one of an included router with a lifespan of its own, uses what the lifespan opened."""
    events: list[str] = []

    @asynccontextmanager
    async def greeter() -> AsyncIterator[str]:
        events.append("opened")
        yield "hello"
        events.append("closed")

    @asynccontextmanager
    async def nested(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append("nested opened")
        yield {"nested": "yes"}
        events.append("nested closed")

    router = APIRouter(lifespan=nested)

    @router.get("/")
    async def greet(request: Request) -> list[str]:
        return [request.state.greeter, request.state.nested, request.state.infra]

    app = FastAPI(lifespan=Resources([Managed("greeter", greeter)], state={"infra": "mine"}).lifespan)
    app.include_router(router)
    async with client(app) as http:
        assert (await http.get("/")).json() == ["hello", "yes", "mine"]
    assert events == ["opened", "nested opened", "nested closed", "closed"]


async def test_unreachable_database_is_one_line_under_uvicorn() -> None:
    """uvicorn ends with its start-up status and one line that says what to do: no traceback, and no password."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "unreachable_app:app", "--app-dir", str(HERE), "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    lines = [line for line in output.decode().splitlines() if not line.startswith("INFO:")]
    assert process.returncode == 3
    assert len(lines) == 2
    assert lines[0].startswith("resource 'database' did not open: OperationalError: connection failed")
    assert lines[0].endswith("Set DATABASE_URL.")
    assert lines[1].endswith("Application startup failed. Exiting.")
    assert "hunter2" not in output.decode()
