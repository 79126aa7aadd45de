"""The usual hand-assembled stack: public packages and `BaseHTTPMiddleware`, put together as their READMEs show."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from secure import Secure
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware.base import BaseHTTPMiddleware

from bench import service


def access_logger() -> Any:
    """structlog as production services configure it: request variables, level, time, JSON, to standard output."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("access")


class AccessLog(BaseHTTPMiddleware):
    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.log = access_logger()

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        started = time.perf_counter()
        response = await call_next(request)
        self.log.info(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            client=request.client.host,
            duration=time.perf_counter() - started,
        )
        return response


class SecureHeaders(BaseHTTPMiddleware):
    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.secure = Secure.with_default_headers()

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        await self.secure.set_headers_async(response)
        return response


class BodyLimit(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        length = request.headers.get("content-length")
        if length and int(length) > service.BODY_BYTES:
            return JSONResponse({"detail": "Request body too large"}, 413)
        return await call_next(request)


class Timeout(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        try:
            async with asyncio.timeout(service.SECONDS):
                return await call_next(request)
        except TimeoutError:
            return JSONResponse({"detail": "Request timed out"}, 504)


def limiter() -> Limiter:
    return Limiter(key_func=get_remote_address, default_limits=[f"{service.BURST}/second"])


def instrumentator() -> Instrumentator:
    """Durations, sizes and requests in flight, which are what we measure."""
    return Instrumentator(registry=CollectorRegistry(), should_instrument_requests_inprogress=True)


def create() -> FastAPI:
    app = FastAPI()
    app.state.limiter = limiter()
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
    # The last one added is the outermost.
    app.add_middleware(Timeout)
    app.add_middleware(SlowAPIMiddleware)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecureHeaders)
    app.add_middleware(CORSMiddleware, allow_origins=[service.ORIGIN])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[service.HOST])
    app.add_middleware(AccessLog)
    app.add_middleware(CorrelationIdMiddleware)
    instrumentator().instrument(app)
    return service.add_routes(app, flat=True)
