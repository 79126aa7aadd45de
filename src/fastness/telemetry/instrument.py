"""Spans of what a service calls: HTTP through httpx2, SQL through SQLAlchemy. One call each.

Names and attributes follow https://opentelemetry.io/docs/specs/semconv/. Neither query strings nor SQL parameters are
recorded, because both carry personal data and secrets. Where the current request is not traced, an outbound call
passes that on and nothing is recorded.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_SPAN = "_fastness_span"
_MAX_STATEMENT = 4096
# Statements are parameterised; a text that was pasted in all the same is not recorded. An open end is where it was cut off.
_LITERAL = re.compile(r"'(?:[^']|'')*+(?:'|\Z)")


def httpx2(client: Any, *, tracer_provider: TracerProvider | None = None) -> None:
    """Trace every request of an `httpx2.AsyncClient`, and send the trace on in `traceparent`.

    Each attempt, redirect and proxied call is a span of its own, until the response's headers are there.

    Args:
        client: the client; what its transport does stays as it is.
        tracer_provider: by default the process's own.
    """
    tracer = trace.get_tracer("fastness", tracer_provider=tracer_provider)
    # Hooks on the client would not see an attempt that failed, so the transports are wrapped.
    client._transport = TracedTransport(client._transport, tracer)
    client._mounts = {
        pattern: transport and TracedTransport(transport, tracer) for pattern, transport in client._mounts.items()
    }


class TracedTransport:
    """An httpx2 transport that traces what goes through another one."""

    def __init__(self, transport: Any, tracer: Tracer) -> None:
        self._transport = transport
        self._tracer = tracer

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request, within a span."""
        current = trace.get_current_span()
        if current.get_span_context().is_valid and not current.is_recording():
            propagate.inject(request.headers)
            return await self._transport.handle_async_request(request)
        url = request.url
        attributes = {
            "http.request.method": request.method,
            "server.address": url.host,
            "url.full": f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}",
        }
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        if port is not None:
            attributes["server.port"] = port
        with self._tracer.start_as_current_span(
            request.method, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            propagate.inject(request.headers)
            try:
                response = await self._transport.handle_async_request(request)
            except BaseException as error:
                _fail(span, error)
                raise
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                span.set_attribute("error.type", str(response.status_code))
                span.set_status(StatusCode.ERROR)
            return response

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, at: TracebackType | None = None
    ) -> None:
        await self._transport.__aexit__(kind, error, at)


def sqlalchemy(engine: AsyncEngine, *, tracer_provider: TracerProvider | None = None) -> None:
    """Trace every statement that an engine executes in the course of a traced request or job.

    Args:
        engine: the engine; all its connections are traced.
        tracer_provider: by default the process's own.
    """
    from sqlalchemy import event

    tracer = trace.get_tracer("fastness", tracer_provider=tracer_provider)
    sync = engine.sync_engine
    fixed = {"db.system.name": _SYSTEMS.get(sync.dialect.name, sync.dialect.name)}
    if sync.url.database:
        fixed["db.namespace"] = sync.url.database
    if sync.url.host:
        fixed["server.address"] = sync.url.host

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if context is None or not trace.get_current_span().is_recording():
            return
        operation = statement.lstrip().partition(" ")[0].upper()[:32]
        span = tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=fixed)
        span.set_attribute("db.operation.name", operation)
        span.set_attribute("db.query.text", _LITERAL.sub("?", statement[:_MAX_STATEMENT]))
        if many:
            span.set_attribute("db.operation.batch.size", len(parameters))
        setattr(context, _SPAN, span)

    def after(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        span = getattr(context, _SPAN, None)
        if span is not None:
            span.end()

    def failed(failure: Any) -> None:
        span = getattr(failure.execution_context, _SPAN, None)
        if span is not None and span.is_recording():
            _fail(span, failure.original_exception)
            span.end()

    event.listen(sync, "before_cursor_execute", before)
    event.listen(sync, "after_cursor_execute", after)
    event.listen(sync, "handle_error", failed)


# https://opentelemetry.io/docs/specs/semconv/database/#well-known-names-of-database-management-systems
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}


def _fail(span: Span, error: BaseException) -> None:
    # The type alone: messages of drivers and clients quote parameters and URLs.
    span.set_attribute("error.type", f"{type(error).__module__}.{type(error).__qualname__}")
    span.set_status(StatusCode.ERROR)
