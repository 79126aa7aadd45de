"""Configures FastAPI's own OpenTelemetry tracing, and keeps one trace id where a request is not traced.

FastAPI makes the server's spans (https://fastapi.tiangolo.com, `FastAPI(telemetry=...)`); nothing here makes a second set.
Whether a request is traced is decided before FastAPI starts a span, so that one that is not costs next to nothing. Spans
of what the service calls are in `fastness.telemetry.instrument`.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterable, MutableMapping
from contextvars import Token
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi.telemetry import TelemetryConfig
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from fastness._asgi import PROBES, HeaderLines, Scope
from fastness.context import RequestContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger("fastness.telemetry")

_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def configure(
    *,
    service: str,
    version: str | None = None,
    sample_ratio: float = 0.01,
    endpoint: str | None = None,
    exporter: SpanExporter | None = None,
    trust_incoming: bool = True,
    operation_spans: bool = True,
    exclude: Iterable[str] = (*PROBES, "/metrics"),
    install: bool = True,
) -> TelemetryConfig:
    """The value for `FastAPI(telemetry=...)`: traces to an OTLP collector, without metrics and logs, which are ours.

    Without a collector (no `endpoint`, no `exporter`, neither `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` nor
    `OTEL_EXPORTER_OTLP_ENDPOINT` set), with `OTEL_SDK_DISABLED=true`, or without the extra `fastness[otel]`, nothing is
    traced; request and trace ids in logs and responses work all the same.

    Args:
        service: `service.name` of every span.
        version: `service.version`.
        sample_ratio: share of new traces to record, from 0 to 1. A caller's decision, the flag in `traceparent`, comes first.
        endpoint: base URL of the collector's OTLP over HTTP, such as `http://collector:4318`.
        exporter: exports the spans instead of OTLP.
        trust_incoming: record whenever the caller does. False, for a service that anyone can call, draws for those as well.
        operation_spans: also record dependencies, the endpoint and serialization of a recorded request.
        exclude: paths that are never traced.
        install: make the provider the process's own, for libraries that ask for it, unless there is one already.

    Raises:
        ValueError: the ratio or the endpoint is not one.
    """
    if not 0 <= sample_ratio <= 1:
        raise ValueError(f"sample_ratio: {sample_ratio!r} is not a share from 0 to 1 (1 % is 0.01)")
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f"endpoint: {endpoint!r} is not an http or https URL, such as 'http://collector:4318'")
    off: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    wanted = exporter is not None or endpoint is not None or any(os.environ.get(name) for name in _ENDPOINTS)
    if not wanted or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return off
    try:
        provider = _provider(service, version, sample_ratio, exporter or _otlp(endpoint))
    except ImportError:
        logger.warning("traces are not exported: install fastness[otel] for the OpenTelemetry SDK and the OTLP exporter")
        return off
    if install and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
    return {
        **off,
        "tracing": True,
        "tracer_provider": provider,
        "operation_spans": operation_spans,
        "exclude": _Unsampled(sample_ratio, frozenset(exclude), trust_incoming=trust_incoming),
    }


def join(scope: Scope, context: RequestContext) -> Token[Context] | None:
    """Bring the request's context and the current OpenTelemetry context to one trace id.

    A request that FastAPI traces takes over the id of its span. For one that it does not, the current span becomes one that
    records nothing and says so to every instrumentation below it, which then pass "not sampled" on to what they call.

    Returns:
        What to give to `part` when the request ends, or None.
    """
    if scope["fastapi.telemetry"] is not None:
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            trace_id = f"{span.trace_id:032x}"
            if context.request_id == context.trace_id:
                context.request_id = trace_id
            context.trace_id, context.sampled = trace_id, bool(span.trace_flags.sampled)
        return None
    context.sampled = False
    return otel_context.attach(set_span_in_context(_Untraced(context, scope["headers"])))


def part(token: Token[Context]) -> None:
    """Undo `join`."""
    otel_context.detach(token)


class _Untraced(NonRecordingSpan):
    """The span of a request that is not traced; few such requests call anybody who wants to know the ids."""

    def __init__(self, context: RequestContext, headers: HeaderLines) -> None:
        self._request = context
        self._headers = headers

    def get_span_context(self) -> SpanContext:
        return self._context

    @cached_property
    def _context(self) -> SpanContext:  # type: ignore[override]
        request = self._request
        state = [value.decode("latin-1") for name, value in self._headers if name == b"tracestate"]
        return SpanContext(
            int(request.trace_id, 16),
            int(request.span_id, 16) if request.span_id is not None else random.getrandbits(64) or 1,
            is_remote=True,
            trace_flags=_NOT_SAMPLED,
            trace_state=TraceState.from_header(state) if state else None,
        )


class _Unsampled:
    """FastAPI's `exclude` hook: True for a request that is not to be traced."""

    def __init__(self, ratio: float, exclude: frozenset[str], *, trust_incoming: bool) -> None:
        self._ratio = ratio
        self._exclude = exclude
        self._trust_incoming = trust_incoming

    def __call__(self, scope: MutableMapping[str, Any]) -> bool:
        if scope["path"] in self._exclude:
            return True
        drawn = random.random() < self._ratio  # noqa: S311 - a sample, not a secret
        for name, value in scope["headers"]:
            if name == b"traceparent":
                # https://www.w3.org/TR/trace-context/#trace-flags: the last bit of the fourth field. A header that is not
                # well-formed is none, for which FastAPI starts a trace of its own.
                fields = value.split(b"-")
                if len(fields) >= 4 and len(fields[3]) == 2 and fields[3].isalnum():
                    sampled = fields[3][1:] in b"13579bdf"
                    return not (sampled and (self._trust_incoming or drawn))
        return not drawn


def _otlp(endpoint: str | None) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if endpoint is None:
        return OTLPSpanExporter()  # as the environment says
    return OTLPSpanExporter(endpoint=endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}/v1/traces")


def _provider(service: str, version: str | None, ratio: float, exporter: SpanExporter) -> TracerProvider:
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased

    drawn = TraceIdRatioBased(ratio)

    class Root(Sampler):
        """Decides for spans without a parent. For requests that is done by the time there is a span: none is drawn twice."""

        def should_sample(
            self,
            parent_context: Context | None,
            trace_id: int,
            name: str,
            kind: trace.SpanKind | None = None,
            *args: Any,
            **kwargs: Any,
        ) -> SamplingResult:
            sampler = ALWAYS_ON if kind is trace.SpanKind.SERVER else drawn
            return sampler.should_sample(parent_context, trace_id, name, kind, *args, **kwargs)

        def get_description(self) -> str:
            return f"Root{{requests=decided,others={drawn.get_description()}}}"

    named = {SERVICE_NAME: service} | ({SERVICE_VERSION: version} if version is not None else {})
    provider = TracerProvider(resource=Resource.create(named), sampler=ParentBased(root=Root()))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
