"""FastAPI's own layers join the pass: `app.build_middleware_stack = fused(app)`.

FastAPI puts three layers around the middleware list and two inside of it. They are there for errors and for uploaded files,
and cost every other request more than most of ours. Where the list is one run of layers, what they do is done by the pass
instead, at the moments when it is needed; the same handlers are called with the same exceptions, by FastAPI's own code. An
app that is put together in any other way is left as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware

from fastness._asgi import ASGIApp, Exchange, Layer, Plan, Receive, Scope, Send

# Starlette's key, from 1.6 on.
MAX_BODY_SIZE_SCOPE_KEY = "starlette.max_body_size"

# What this module knows how to stand in for, outermost first. The third came with FastAPI 0.164.
_OUTSIDE = ("ServerErrorMiddleware", "ExceptionTelemetryMiddleware", "AppBodyLimitMiddleware")
_INSIDE = ("ExceptionMiddleware", "AsyncExitStackMiddleware")


def fused(app: FastAPI) -> Callable[[], ASGIApp]:
    """A replacement for `app.build_middleware_stack`, which FastAPI calls once, before the first request.

    The stack stays as FastAPI builds it where something cannot be moved: in debug mode, with an app-wide `max_body_size`, or
    with anything but layers of ours in the middleware list.
    """
    build = app.build_middleware_stack

    def build_middleware_stack() -> ASGIApp:
        stack = build()
        return _fuse(app, stack) or stack

    return build_middleware_stack


def _fuse(app: FastAPI, stack: Any) -> ASGIApp | None:
    if app.debug or getattr(app, "max_body_size", None) is not None:
        return None
    run = _below(stack, _OUTSIDE)
    if not isinstance(run, Layer):
        return None
    plan = run._plan
    if _below(plan.app, _INSIDE) is not app.router:
        return None
    handlers = dict(app.exception_handlers)
    server_error = handlers.pop(500, None) or handlers.pop(Exception, None)
    innermost = _Handlers(plan.app, handlers)
    return _ServerErrors(stack, server_error, plan, innermost, _Routes(app.router, innermost))


def _below(app: Any, names: tuple[str, ...]) -> Any:
    """What stands below the wrappers called `names`, those of them that there are."""
    for name in names:
        if type(app).__name__ == name:
            app = app.app
    return app


class _ServerErrors(Layer):
    """Does for errors that nobody answered what Starlette's outermost layer does: a last response, and on to the server."""

    def __init__(self, stack: ASGIApp, handler: Any, plan: Plan, innermost: Layer, app: ASGIApp) -> None:
        # Not as `app`: FastAPI follows that name on every request that it might trace, in search of another tracer, which a
        # list of nothing but our layers cannot hold.
        self._stack = stack
        self._handler = handler
        self._plan = Plan((self, *plan.layers, innermost), app)

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        if exchange.status or not isinstance(error, Exception):
            return None
        return ServerErrorMiddleware(_raiser(error), handler=self._handler)

    # Not a coroutine of its own, which only FastAPI would await.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        # Below a parent that counts body bytes, FastAPI's layers settle with it whose 413 it is.
        if scope["type"] != "http" or MAX_BODY_SIZE_SCOPE_KEY in scope:
            return self._stack(scope, receive, send)
        return Layer.__call__(self, scope, receive, send)


class _Handlers(Layer):
    """Calls the app's exception handlers for errors that did not come from a route: unknown paths and methods, mostly."""

    def __init__(self, app: Any, handlers: dict[Any, Any]) -> None:
        super().__init__(app)
        self._handlers = handlers
        # Starlette's own tables, which routes read from the scope.
        middleware = ExceptionMiddleware(_raiser(RuntimeError()), handlers=handlers)
        self.tables = middleware._exception_handlers, middleware._status_handlers

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        if exchange.status or not self._knows(error):
            return None
        # An answer like any other: outside of FastAPI's own layer nobody would have seen the exception.
        exchange.error = None
        return ExceptionMiddleware(_raiser(error), handlers=self._handlers)

    def _knows(self, error: BaseException) -> bool:
        exceptions, statuses = self.tables
        by_status = isinstance(error, HTTPException) and error.status_code in statuses
        return by_status or any(kind in exceptions for kind in type(error).__mro__)


class _Routes:
    """The router, with what it finds in the scope below FastAPI's inner layers."""

    def __init__(self, router: APIRouter, handlers: _Handlers) -> None:
        self._app = router.middleware_stack
        self._tables = handlers.tables

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["starlette.exception_handlers"] = self._tables
        scope["fastapi_middleware_astack"] = files = AsyncExitStack()
        try:
            await self._app(scope, receive, send)
        finally:
            # Only uploads put something there; closing an empty stack is not free.
            if getattr(files, "_exit_callbacks", True):
                await files.aclose()


def _raiser(error: BaseException) -> ASGIApp:
    async def raise_it(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    return raise_it
