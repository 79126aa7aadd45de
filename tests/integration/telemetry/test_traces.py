"""One trace id from the client through the service to what it calls, traced or not."""

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx2
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.middleware import Middleware

from fastness.context import ContextMiddleware, current
from fastness.telemetry import TelemetryMiddleware, instrument, logs, traces
from fastness.testing import asgi, client

PARENT = "a" * 32
SPAN = "b" * 16


class Service:
    """An app that calls another one, asks a database, and logs."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        config = traces.configure(service="t", version="1", exporter=self.exporter, install=False, **options)
        provider = config["tracer_provider"]
        assert isinstance(provider, TracerProvider)
        self.provider = provider
        self.app = FastAPI(telemetry=config, middleware=[Middleware(ContextMiddleware), Middleware(TelemetryMiddleware)])
        self.outbound: list[httpx2.Request] = []
        self.status = 200
        self.engine: AsyncEngine = create_async_engine("sqlite+aiosqlite://")
        instrument.sqlalchemy(self.engine, tracer_provider=self.provider)
        self.app.add_api_route("/call/{identifier}", self.call)
        self.app.add_api_route("/livez", self.call)

    async def respond(self, request: httpx2.Request) -> httpx2.Response:
        if self.status == 0:
            raise httpx2.ConnectError("refused by secret-host")
        self.outbound.append(request)
        return httpx2.Response(self.status)

    async def call(self, identifier: str = "") -> dict[str, str | None]:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond))
        instrument.httpx2(http, tracer_provider=self.provider)
        async with http, self.engine.connect() as connection:
            await connection.execute(text("SELECT :x, 'private'"), {"x": "hidden"})
            await http.get("https://user:pw@other.example/path?token=secret")
        logging.getLogger("a").info("called")
        context = current()
        assert context is not None
        return {"trace_id": context.trace_id, "request_id": context.request_id}

    def spans(self) -> dict[str, Any]:
        self.provider.force_flush()
        return {span.name: span for span in self.exporter.get_finished_spans()}

    async def get(self, path: str = "/call/1", **headers: str) -> httpx2.Response:
        async with client(self.app, raise_errors=False) as http:
            response = await http.get(path, headers=headers)
        await self.engine.dispose()
        return response


@pytest.fixture(autouse=True)
def no_context() -> Iterator[None]:
    """A test leaves no span behind as the current one."""
    yield
    assert not trace.get_current_span().get_span_context().is_valid


async def test_one_trace_from_the_client_to_what_is_called(configure: Callable[..., Any]) -> None:
    """The caller's trace goes on in the server's span, in those of the call and the query, in the logs and on the wire."""
    log = configure()
    service = Service(sample_ratio=0)
    response = await service.get(traceparent=f"00-{PARENT}-{SPAN}-01")
    spans = service.spans()
    server, call, query = spans["GET /call/{identifier}"], spans["GET"], spans["SELECT"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {PARENT}
    assert f"{server.parent.span_id:016x}" == SPAN
    assert call.parent is not None
    assert query.parent is not None
    assert response.json()["trace_id"] == PARENT
    assert service.outbound[0].headers["traceparent"] == f"00-{PARENT}-{call.context.span_id:016x}-01"
    called = next(entry for entry in log.entries if entry["event"] == "called")
    access = next(entry for entry in log.entries if entry["event"] == "request")
    assert called["trace_id"] == access["trace_id"] == PARENT
    assert called["span_id"] in {f"{span.context.span_id:016x}" for span in spans.values()}
    assert server.resource.attributes["service.name"] == "t"
    assert server.resource.attributes["service.version"] == "1"


async def test_a_new_trace_has_one_id_everywhere(configure: Callable[..., Any]) -> None:
    """Without a caller's trace, the id of the server's span becomes that of the request: context, log, header, call."""
    log = configure()
    service = Service(sample_ratio=1)
    response = await service.get()
    ids = {f"{span.context.trace_id:032x}" for span in service.spans().values()}
    ids |= {response.json()["trace_id"], response.json()["request_id"], response.headers["x-request-id"]}
    ids |= {entry["trace_id"] for entry in log.entries if "trace_id" in entry}
    ids.add(service.outbound[0].headers["traceparent"].split("-")[1])
    assert len(ids) == 1


async def test_a_request_id_of_the_client_is_kept() -> None:
    """A new trace id does not replace an id that the client has chosen."""
    response = await Service(sample_ratio=1).get(**{"x-request-id": "mine"})
    assert response.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("flags", ["00", None])
async def test_what_is_not_traced_says_so_to_what_it_calls(flags: str | None) -> None:
    """An unsampled request makes no span, and outbound calls carry its trace id with "not sampled"."""
    service = Service(sample_ratio=0)
    headers = {"traceparent": f"00-{PARENT}-{SPAN}-{flags}", "tracestate": "vendor=1"} if flags else {}
    response = await service.get(**headers)
    assert service.spans() == {}
    version, trace_id, span_id, sent_flags = service.outbound[0].headers["traceparent"].split("-")
    assert (version, trace_id, sent_flags) == ("00", response.json()["trace_id"], "00")
    if flags is not None:
        assert (trace_id, span_id) == (PARENT, SPAN)
        assert service.outbound[0].headers["tracestate"] == "vendor=1"


async def test_what_stands_around_has_its_own_span_back() -> None:
    """That of a request that is not traced is the current one for what lies within, and no longer."""
    service = Service(sample_ratio=0)
    spans: list[Any] = []

    class Around:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            before = trace.get_current_span()
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                spans.append((before, trace.get_current_span()))

    service.app.add_middleware(Around)
    await service.get()
    [(before, after)] = spans
    assert after is before


async def test_callers_that_are_not_trusted_cannot_force_a_trace() -> None:
    """A service that anyone can call draws for those requests as well."""
    service = Service(sample_ratio=0, trust_incoming=False)
    await service.get(traceparent=f"00-{PARENT}-{SPAN}-01")
    assert service.spans() == {}
    service = Service(sample_ratio=1, trust_incoming=False)
    await service.get(traceparent=f"00-{PARENT}-{SPAN}-01")
    assert service.spans()


async def test_a_traceparent_that_is_none_starts_a_trace() -> None:
    """A malformed header is as good as no header."""
    service = Service(sample_ratio=1)
    response = await service.get(traceparent="garbage")
    assert {f"{span.context.trace_id:032x}" for span in service.spans().values()} == {response.json()["trace_id"]}


async def test_probes_are_never_traced() -> None:
    """Excluded paths make no spans, whoever asks."""
    service = Service(sample_ratio=1)
    await service.get("/livez", traceparent=f"00-{PARENT}-{SPAN}-01")
    assert service.spans() == {}


async def test_spans_hold_no_secrets() -> None:
    """Neither the query string nor the user of a URL, nor parameters or literals of a statement, are recorded."""
    service = Service(sample_ratio=1)
    await service.get()
    spans = service.spans()
    assert spans["GET"].attributes["url.full"] == "https://other.example/path"
    assert spans["GET"].attributes["http.response.status_code"] == 200
    assert spans["GET"].attributes["server.port"] == 443
    assert spans["SELECT"].attributes["db.query.text"] == "SELECT ?, ?"
    assert spans["SELECT"].attributes["db.system.name"] == "sqlite"
    assert spans["SELECT"].end_time is not None


@pytest.mark.parametrize(("status", "kind"), [(503, "503"), (0, "httpx2.ConnectError")])
async def test_a_call_that_fails_is_an_error(status: int, kind: str) -> None:
    """An error status and a failed connection mark the span with their type, and with no message."""
    service = Service(sample_ratio=1)
    service.status = status
    await service.get()
    span = service.spans()["GET"]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"].endswith(kind.rpartition(".")[2])
    assert "secret-host" not in span.to_json()


class Transport(httpx2.AsyncBaseTransport):
    """Notes how it is used, and sends nothing."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    async def __aenter__(self) -> Self:
        self.calls.append("open")
        return self

    async def __aexit__(self, *error: object) -> None:
        self.calls.append(f"leave {error[0]}")

    async def aclose(self) -> None:
        self.calls.append("close")


async def test_a_traced_client_is_opened_and_closed_as_before() -> None:
    """What the client's own transport does at its begin and end, and what it raises, reaches it and the caller."""
    entered, closed = Transport(), Transport()
    http = httpx2.AsyncClient(transport=entered)
    instrument.httpx2(http)
    with pytest.raises(httpx2.ConnectError, match="refused"):
        async with http:
            await http.get("http://other.example/")
    assert entered.calls == ["open", f"leave {httpx2.ConnectError}"]
    http = httpx2.AsyncClient(transport=closed)
    instrument.httpx2(http)
    await http.aclose()
    assert closed.calls == ["close"]


async def test_a_statement_that_fails_is_an_error() -> None:
    """A failed statement ends its span, with the type of the driver's error."""
    service = Service(sample_ratio=1)
    with service.provider.get_tracer("t").start_as_current_span("job"):
        async with service.engine.connect() as connection:
            with pytest.raises(OperationalError):
                await connection.execute(text("SELECT * FROM nowhere"))
    await service.engine.dispose()
    span = service.spans()["SELECT"]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "sqlite3.OperationalError"


async def test_statements_outside_of_a_trace_are_not_recorded() -> None:
    """Start-up and health checks do not fill the traces."""
    service = Service(sample_ratio=1)
    async with service.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    await service.engine.dispose()
    assert service.spans() == {}


async def test_other_roots_are_drawn() -> None:
    """The ratio also holds for what is no request, such as a job."""
    for ratio, count in ((0, 0), (1, 1)):
        service = Service(sample_ratio=ratio)
        with service.provider.get_tracer("t").start_as_current_span("job"):
            pass
        await service.engine.dispose()
        assert len(service.spans()) == count


async def test_web_sockets_have_one_trace_id() -> None:
    """A connection that is not traced passes that on like a request."""
    service = Service(sample_ratio=0)
    seen: list[Any] = []

    async def endpoint(websocket: Any) -> None:
        seen.extend((trace.get_current_span().get_span_context(), current()))
        await websocket.accept()
        await websocket.close()

    service.app.router.add_websocket_route("/ws", endpoint)
    async with asgi.websocket(service.app, "/ws") as connection:
        await connection.next()
        await connection.next()
    await service.engine.dispose()
    span, context = seen
    assert f"{span.trace_id:032x}" == context.trace_id
    assert not span.trace_flags.sampled


def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No endpoint, or the SDK disabled by the environment, turns tracing off and nothing else."""
    off = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert traces.configure(service="t") == off
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert traces.configure(service="t", exporter=InMemorySpanExporter()) == off


def test_without_the_sdk_nothing_is_traced(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where the extra is not installed, the service starts, and a warning says what to install."""
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    config = traces.configure(service="t", exporter=object(), install=False)  # type: ignore[arg-type]
    assert config["tracing"] is False
    assert "fastness[otel]" in caplog.text


@pytest.mark.parametrize(
    ("options", "match"), [({"sample_ratio": 5}, "sample_ratio: 5"), ({"endpoint": "collector:4318"}, "'collector:4318'")]
)
def test_wrong_settings_are_refused(options: dict[str, Any], match: str) -> None:
    """A ratio that is not a share and an endpoint that is not a URL are errors that name them."""
    with pytest.raises(ValueError, match=match):
        traces.configure(service="t", **options)


def test_the_log_is_configured_by_the_fixture_alone() -> None:
    """No test leaves our handler behind."""
    assert logs.output() is None
