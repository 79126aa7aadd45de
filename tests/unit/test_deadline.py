"""Deadlines."""

import asyncio
import threading
from time import monotonic
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse

from fastness import context, openapi, problems
from fastness._asgi import ASGIApp, Receive, Scope, Send
from fastness.context import ContextMiddleware
from fastness.deadline import Deadline, DeadlineMiddleware
from fastness.testing.asgi import http, request

# The least there is between "at once" and "never"; nothing below is asserted on how long it took.
SHORT: dict[str, Any] = {"default": 0.02, "resolution": 0.01}
LONG: dict[str, Any] = {"default": 60.0, "resolution": 0.01}


async def forever(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def test_a_request_that_takes_too_long_gets_a_504() -> None:
    """The handler is cancelled, and the client told in the one envelope."""
    cancelled: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await forever(scope, receive, send)
        except asyncio.CancelledError as error:
            cancelled.append(error)
            raise

    response = await request(DeadlineMiddleware(app, **SHORT))
    assert response.status == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:problem-type:fastness:deadline-exceeded"
    assert cancelled


async def in_this_task(app: ASGIApp) -> list[Any]:
    """Serve one request in the task of the test, as a server does that serves a connection in one task."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    await app({"type": "http", "path": "/", "method": "GET", "headers": []}, receive, send)
    return sent


async def answers_its_cancellation(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await forever(scope, receive, send)
    except asyncio.CancelledError:
        await PlainTextResponse("partial", status_code=206)(scope, receive, send)


@pytest.mark.parametrize(("app", "status"), [(forever, 504), (answers_its_cancellation, 206)])
async def test_the_task_is_fit_for_use_after_its_deadline(app: ASGIApp, status: int) -> None:
    """The cancellation is taken back, so that what follows in the same task is not cancelled."""
    sent = await in_this_task(DeadlineMiddleware(app, **SHORT))
    assert sent[0]["status"] == status
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_the_deadline_of_a_request_that_has_failed_is_over() -> None:
    """A request that ended without an answer leaves no deadline behind, which would cancel what its task does next."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    app = DeadlineMiddleware(broken, **SHORT)
    with pytest.raises(LookupError):
        await in_this_task(app)
    async with asyncio.timeout(60):
        while app._loop is not None:  # noqa: ASYNC110 - the timer tells nobody that it rests
            await asyncio.sleep(0.01)


async def test_a_handler_that_answers_its_own_cancellation_is_heard() -> None:
    """A handler may answer when it is cancelled; its answer stands, and the cancellation is over."""
    assert (await request(DeadlineMiddleware(answers_its_cancellation, **SHORT))).status == 206


async def test_a_client_may_ask_for_less_time_but_not_for_more() -> None:
    """X-Request-Timeout-Ms shrinks the deadline; a longer one, or nonsense, changes nothing."""
    app = DeadlineMiddleware(forever, **LONG)
    assert (await request(app, headers={"x-request-timeout-ms": "20"})).status == 504
    app = DeadlineMiddleware(forever, **SHORT)
    for value in ("60000", "-1", "soon", "9" * 30):
        assert (await request(app, headers={"x-request-timeout-ms": value})).status == 504


async def test_a_response_that_has_started_is_not_cut() -> None:
    """The deadline is for the start of the answer: a stream may last longer."""
    go = asyncio.Event()

    async def parts() -> Any:
        yield b"one"
        await go.wait()
        yield b"two"

    async with http(DeadlineMiddleware(StreamingResponse(parts()), **SHORT)) as connection:
        connection.body()
        await connection.next()
        await asyncio.sleep(0.1)
        go.set()
        response = await connection.response()
    assert (response.status, response.body, response.error) == (200, b"onetwo", None)


async def test_the_server_cancelling_is_not_a_deadline() -> None:
    """A cancellation that comes from elsewhere goes on as it is."""
    running: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        running.set_result(asyncio.current_task())
        await forever(scope, receive, send)

    async with http(DeadlineMiddleware(app, **LONG)) as connection:
        connection.body()
        (await running).cancel()
        response = await connection.response()
    assert isinstance(response.error, asyncio.CancelledError)
    assert response.status == 0


async def test_the_remaining_time_is_in_the_context() -> None:
    """What a handler calls can read how much time is left."""
    left: list[float | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        current = context.current()
        assert current is not None
        left.append(current.remaining())
        await PlainTextResponse("")(scope, receive, send)

    await request(ContextMiddleware(DeadlineMiddleware(app, **LONG)))
    assert left[0] is not None
    assert 50 < left[0] <= 60


async def test_the_timer_rests_when_nothing_runs() -> None:
    """After the last request the timer is not armed again, and the next request arms it."""
    app = DeadlineMiddleware(forever, **SHORT)
    assert (await request(app)).status == 504
    async with asyncio.timeout(60):
        while app._loop is not None:  # noqa: ASYNC110 - the timer tells nobody that it rests
            await asyncio.sleep(0.01)
    assert (await request(app)).status == 504
    assert app._running == set()


def service(**options: Any) -> FastAPI:
    app = FastAPI(
        middleware=[Middleware(DeadlineMiddleware, **options), Middleware(problems.ProblemMiddleware)],
        exception_handlers=problems.handlers(),
    )

    @app.get("/slow", dependencies=[Depends(Deadline(60))])
    async def slow() -> str:
        await asyncio.sleep(0.1)
        return "done"

    @app.get("/quick", dependencies=[Depends(Deadline(0.02))])
    async def quick() -> None:
        await asyncio.Event().wait()

    return app


async def test_a_route_may_have_its_own_deadline() -> None:
    """`Deadline` gives a route more or less time than the default, within what the client asked."""
    assert (await request(service(**SHORT), "/slow")).status == 200
    assert (await request(service(**LONG), "/quick")).status == 504
    assert (await request(service(**SHORT), "/slow", headers={"x-request-timeout-ms": "20"})).status == 504


async def test_a_route_deadline_without_the_middleware_is_an_error() -> None:
    """A deadline that nobody would enforce fails loudly."""
    app = service(**LONG)
    app.user_middleware = []
    with pytest.raises(RuntimeError, match="needs DeadlineMiddleware"):
        await request(app, "/slow")


async def test_a_route_deadline_shows_in_openapi() -> None:
    """The 504 of a route with a deadline is documented."""
    app = service(**LONG)
    app.openapi = openapi.document(app)  # type: ignore[method-assign]
    assert "504" in app.openapi()["paths"]["/slow"]["get"]["responses"]


async def test_a_sync_endpoint_gets_its_504_while_its_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be cancelled: the client is answered all the same."""
    app = service(**LONG)
    begun, go, ended = (threading.Event() for _ in range(3))

    @app.get("/thread")
    def thread() -> None:
        begun.set()
        go.wait(60)
        ended.set()

    async with http(app, "/thread") as connection:
        connection.body()
        # Time passes once the thread has begun: before that, the request would be given up without it.
        assert await asyncio.to_thread(begun.wait, 60)
        monkeypatch.setattr("fastness.deadline.monotonic", lambda: monotonic() + LONG["default"])
        start = await connection.next()
        go.set()
        await connection.response()
    assert start["status"] == 504
    assert await asyncio.to_thread(ended.wait, 60)


@pytest.mark.parametrize("options", [{"default": 0}, {"default": -1.0}, {"resolution": 0}])
def test_a_deadline_without_time_is_refused(options: dict[str, Any]) -> None:
    """A configuration that would end every request is told at start."""
    with pytest.raises(ValueError, match="deadline"):
        DeadlineMiddleware(forever, **options)
    with pytest.raises(ValueError, match="deadline"):
        Deadline(0)
