"""The same features from public packages that are pure ASGI; plain classes where no package is: log, overload, timeout."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from content_size_limit_asgi import ContentSizeLimitMiddleware
from fastapi import FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from secure import Secure
from secure.middleware import SecureASGIMiddleware
from slowapi import _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIASGIMiddleware
from starlette.responses import JSONResponse

from bench import service
from bench.hand import access_logger, instrumentator, limiter


class AccessLog:
    def __init__(self, app: Any) -> None:
        self.app = app
        self.log = access_logger()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        started = time.perf_counter()
        status = 500

        async def watch(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            self.log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                client=scope["client"][0],
                duration=time.perf_counter() - started,
            )


class Timeout:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(service.SECONDS):
                await self.app(scope, receive, send)
        except TimeoutError:
            await JSONResponse({"detail": "Request timed out"}, 504)(scope, receive, send)


class InFlight:
    def __init__(self, app: Any) -> None:
        self.app = app
        self.places = asyncio.Semaphore(service.IN_FLIGHT)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.places.locked():
            await JSONResponse({"detail": "Overloaded"}, 503, {"retry-after": "1"})(scope, receive, send)
            return
        async with self.places:
            await self.app(scope, receive, send)


class BodyTooLarge(HTTPException):
    """FastAPI answers 400 to anything else that reading the body raises."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


def create() -> FastAPI:
    app = FastAPI()
    app.state.limiter = limiter()
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
    # The last one added is the outermost.
    app.add_middleware(Timeout)
    app.add_middleware(SlowAPIASGIMiddleware)
    app.add_middleware(InFlight)
    app.add_middleware(ContentSizeLimitMiddleware, max_content_size=service.BODY_BYTES, exception_cls=BodyTooLarge)
    app.add_middleware(SecureASGIMiddleware, secure=Secure.with_default_headers())
    app.add_middleware(CORSMiddleware, allow_origins=[service.ORIGIN])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[service.HOST])
    app.add_middleware(AccessLog)
    app.add_middleware(CorrelationIdMiddleware)
    instrumentator().instrument(app)
    return service.add_routes(app, flat=True)
