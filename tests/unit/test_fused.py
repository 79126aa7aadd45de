"""FastAPI's own layers in the pass: whatever is asked, the answer is the one that FastAPI's stack gives."""

import re
from inspect import signature
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, HTTPException, UploadFile
from fastapi.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.websockets import WebSocket

from fastness import problems
from fastness._asgi import Exchange, Layer
from fastness.context import ContextMiddleware
from fastness.fused import fused
from fastness.problems import ProblemMiddleware
from fastness.security import SecurityMiddleware, SecurityPolicy
from fastness.testing.asgi import Response, lifespan, request, websocket

LAYERS = [Middleware(ContextMiddleware), Middleware(SecurityMiddleware, policy=SecurityPolicy()), Middleware(ProblemMiddleware)]


needs_limits = pytest.mark.skipif(
    "max_body_size" not in signature(FastAPI).parameters, reason="this FastAPI has no max_body_size"
)


class TeapotError(Exception):
    """Has a handler."""


class Plain:
    """A middleware that is not ours."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def service(*, fuse: bool, middleware: Any = LAYERS, handlers: Any = None, **options: Any) -> FastAPI:
    app = FastAPI(middleware=list(middleware), exception_handlers=handlers or {}, **options)
    closed: list[str] = []
    app.state.closed = closed

    async def resource() -> Any:
        try:
            yield
        finally:
            closed.append("dependency")

    @app.get("/ok", dependencies=[Depends(resource)])
    async def ok() -> dict[str, int]:
        return {"a": 1}

    @app.get("/raise/{what}")
    async def raises(what: str) -> None:
        raise {"http": HTTPException(418), "known": TeapotError(), "unknown": LookupError("hunter2")}[what]

    @app.post("/upload")
    async def upload(file: UploadFile, name: Annotated[str, Form()]) -> str:
        app.state.file = file.file
        return name + (await file.read()).decode()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            yield b"one"
            raise LookupError("late")

        return StreamingResponse(parts())

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    if fuse:
        app.build_middleware_stack = fused(app)  # type: ignore[method-assign]
    return app


def is_fused(app: FastAPI) -> bool:
    return isinstance(app.build_middleware_stack(), Layer)


async def teapot(_request: Any, _error: Any) -> PlainTextResponse:
    return PlainTextResponse("teapot", status_code=418)


HANDLERS: dict[str, Any] = {
    "none": {},
    "ours": problems.handlers({TeapotError: 409}),
    "status": {418: teapot, 404: teapot, TeapotError: teapot},
    "exception": {Exception: teapot},
    "500": {500: teapot},
}


def shown(response: Response) -> Any:
    """What there is to compare: everything but ids."""
    headers = sorted(
        (name, value) for name, value in response.headers.items() if name not in ("x-request-id", "content-length")
    )
    body = re.sub(rb',"request_id":"\w+"', b"", response.body)
    return response.status, headers, body, type(response.error), response.complete


@pytest.mark.parametrize("handlers", HANDLERS)
@pytest.mark.parametrize("layers", [LAYERS, LAYERS[:2], LAYERS[2:]], ids=["all", "without problems", "problems"])
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/ok", "GET"),
        ("/ok", "DELETE"),
        ("/nowhere", "GET"),
        ("/ok/", "GET"),
        ("/raise/http", "GET"),
        ("/raise/known", "GET"),
        ("/raise/unknown", "GET"),
        ("/stream", "GET"),
        ("/upload", "POST"),
    ],
)
async def test_the_answer_is_fastapis(handlers: str, layers: Any, path: str, method: str) -> None:
    """Successes, redirects, handled and unhandled errors, before and after the start: same status, body and exception.

    The headers are the same too, but for an error that only Starlette's outermost layer answers: that answer now passes
    through the layers, and has theirs as well.
    """
    answers = []
    for fuse in (False, True):
        app = service(fuse=fuse, middleware=layers, handlers=HANDLERS[handlers])
        assert is_fused(app) == fuse
        answers.append(shown(await request(app, path, method=method, headers={"host": "a"}, raise_errors=False)))
    (status, headers, *rest), (fused_status, fused_headers, *fused_rest) = answers
    assert (fused_status, *fused_rest) == (status, *rest)
    unanswered = layers == LAYERS[:2] and rest[1] is not type(None)
    assert set(fused_headers) >= set(headers) if unanswered else fused_headers == headers


async def test_requests_pass_fastapis_layers_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fused is not run as well: only WebSockets and the lifespan still go through FastAPI's outermost layer."""
    passed: list[str] = []
    call = ServerErrorMiddleware.__call__

    async def watched(self: Any, scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])
        await call(self, scope, receive, send)

    monkeypatch.setattr(ServerErrorMiddleware, "__call__", watched)
    app = service(fuse=True)
    assert (await request(app, "/ok")).status == 200
    assert passed == []
    async with websocket(app, "/ws") as connection:
        await connection.next()
    assert passed == ["websocket"]


async def test_an_error_that_the_app_handles_is_none_to_the_layers() -> None:
    """A 404 is not an error of the request, as it is none where FastAPI's own layer answers it; an unhandled one is."""
    ended: list[BaseException | None] = []

    class Watch(Layer):
        def leave(self, exchange: Exchange) -> None:
            ended.append(exchange.error)

    app = service(fuse=True, middleware=[Middleware(Watch), *LAYERS])
    await request(app, "/nowhere")
    await request(app, "/raise/unknown")
    assert ended[0] is None
    assert isinstance(ended[1], LookupError)


async def test_uploaded_files_are_closed() -> None:
    """The stack that FastAPI keeps for files is closed at the end of the request."""
    app = service(fuse=True)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ndata\r\n'
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nname\r\n--x--\r\n'
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert (await request(app, "/upload", method="POST", body=body, headers=headers)).json() == "namedata"
    assert app.state.file.closed


async def test_dependencies_end_and_the_lifespan_and_websockets_pass() -> None:
    """What has nothing to do with the fused layers works as ever."""
    app = service(fuse=True)
    async with lifespan(app):
        assert (await request(app, "/ok")).json() == {"a": 1}
        assert app.state.closed == ["dependency"]
        async with websocket(app, "/ws") as connection:
            assert (await connection.next())["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "options",
    [
        {"middleware": [Middleware(Plain), *LAYERS]},
        {"middleware": [*LAYERS, Middleware(Plain)]},
        {"middleware": [LAYERS[0], Middleware(Plain), LAYERS[2]]},
        {"middleware": []},
        {"debug": True},
        pytest.param({"max_body_size": 10}, marks=needs_limits),
    ],
    ids=["outside", "inside", "between", "none", "debug", "max_body_size"],
)
async def test_what_cannot_be_moved_stays(options: dict[str, Any]) -> None:
    """Another middleware, debug mode or an app-wide limit keep FastAPI's stack, which serves as ever."""
    app = service(fuse=True, **options)
    assert not is_fused(app)
    assert (await request(app, "/ok")).json() == {"a": 1}
    assert (await request(app, "/nowhere")).status == 404


@needs_limits
async def test_below_a_parent_with_a_body_limit_fastapi_settles_it() -> None:
    """A fused app that is mounted answers an oversize body as FastAPI's own stack does."""
    answers = []
    for fuse in (False, True):
        parent = FastAPI(max_body_size=10)
        parent.mount("/sub", service(fuse=fuse))
        body = b"x" * 50
        headers = {"content-type": "application/x-www-form-urlencoded", "content-length": "50"}
        answers.append(shown(await request(parent, "/sub/upload", method="POST", body=body, headers=headers)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 413
