"""Every request is measured and logged as one event, however it ends."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect

from fastness._asgi import Layer, Receive, Scope, Send
from fastness.context import ContextMiddleware, current
from fastness.problems import ProblemMiddleware
from fastness.slo import SLO, Latency
from fastness.telemetry import TelemetryMiddleware, logs
from fastness.telemetry.routes import UNMATCHED
from fastness.telemetry.server import LoopWatch, server_metrics
from fastness.testing import asgi

Configure = Callable[..., Any]
DURATION = "http_server_request_duration_seconds"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    context = current()
    assert context is not None
    context.principal, context.tenant = "ada", "acme"
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def stack(app: Any, **options: Any) -> Any:
    return ContextMiddleware(TelemetryMiddleware(app, **options))


def count(status: int | str = 200, *, method: str = "GET", route: str = UNMATCHED, name: str = f"{DURATION}_count") -> float:
    labels = {"http_request_method": method, "http_route": route}
    if name.startswith(DURATION):
        labels["http_response_status_code"] = str(status)
    server_metrics().hand_over()
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_request_is_one_event(configure: Configure) -> None:
    """Method, path, route, status, time, size, client, ids, principal and agent are on one line; the query string is not."""
    log = configure(service="relay")
    headers = {"user-agent": "curl/8", "x-request-id": "r-1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-00"}
    await asgi.request(stack(answer), "/things/1", query="page=secret", headers=headers)
    assert len(log.lines) == 1
    entry = log.last
    assert entry.pop("time").endswith("Z")
    assert 0 <= entry.pop("duration_ms") < 1000
    assert entry == {
        "level": "info",
        "logger": "fastness.access",
        "event": "request",
        "service": "relay",
        "method": "GET",
        "path": "/things/1",
        "route": UNMATCHED,
        "status": 201,
        "size": 5,
        "client": entry["client"],
        "request_id": "r-1",
        "trace_id": "a" * 32,
        "principal": "ada",
        "tenant": "acme",
        "user_agent": "curl/8",
    }


async def test_the_direct_line_has_the_form_of_all_others(configure: Configure) -> None:
    """The access line starts with the fields of every line, in their order and types."""
    log = configure(service="relay", version="1")
    await asgi.request(stack(answer))
    logging.getLogger("a").info("other")
    access, other = log.entries
    assert list(access)[:6] == list(other) == ["time", "level", "logger", "event", "service", "version"]
    assert len(access["time"]) == len(other["time"])


async def test_on_a_console_the_event_is_readable(configure: Configure) -> None:
    """For people the line says method, path, status and time."""
    log = configure(format="console")
    await asgi.request(stack(answer), "/things")
    assert "GET /things 201 " in log.lines[0]
    assert "principal=ada" in log.lines[0]


async def test_without_configuration_the_event_goes_to_logging(caplog: pytest.LogCaptureFixture) -> None:
    """An app that sets up logging itself gets the event as an ordinary record."""
    with caplog.at_level("INFO"):
        await asgi.request(stack(answer), "/things")
    record = caplog.records[-1]
    assert record.name == "fastness.access"
    assert record.getMessage().startswith("GET /things 201 ")
    assert record.__dict__["access"]["principal"] == "ada"


async def test_levels_silence_the_access_log(configure: Configure) -> None:
    """At level WARNING only failures are logged."""
    log = configure(level="WARNING")
    await asgi.request(stack(answer))
    assert log.lines == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(path=st.text(min_size=1), agent=st.binary(), method=st.text('QXYZ"\\\n', min_size=1))
async def test_no_request_can_forge_a_line(configure: Configure, path: str, agent: bytes, method: str) -> None:
    """Path, method and agent are what a client makes of them; the line stays one line of valid JSON, and bounded."""
    log = configure()
    scope = asgi.scope()
    scope |= {"path": f"/{path}\r\n", "method": method, "headers": [(b"user-agent", agent * 100)]}
    await run(stack(answer), scope)
    assert log.stream.getvalue().count("\n") == 1
    assert log.lines[0].isascii()
    assert log.lines[0].isprintable()
    assert log.last["method"] == "_OTHER"
    assert log.last["method_original"] == method[:32]
    assert len(log.last["user_agent"]) <= 256


async def run(app: Any, scope: Scope, *messages: Any) -> None:
    """Run one request; what the server would say is `messages`, then nothing."""
    inbox = [*messages]

    async def receive() -> Any:
        return inbox.pop(0) if inbox else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        pass

    try:
        await app(scope, receive, send)
    finally:
        await asyncio.sleep(0)  # requests are recorded at the end of the loop's turn in which they ended


async def test_secrets_in_paths_are_redacted(configure: Configure) -> None:
    """A token that is part of the path is not logged."""
    log = configure()
    await asgi.request(stack(answer), "/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl")
    assert log.last["path"] == "/reset/[redacted]"


async def test_a_streaming_response_is_measured_to_its_end(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is that of all parts, and the time ends with the last of them, not with what runs after it."""
    log = configure()
    part, after = asyncio.Event(), asyncio.Event()
    now = 100.0
    monkeypatch.setattr("fastness._asgi.monotonic", lambda: now)
    monkeypatch.setattr("fastness.telemetry.middleware.monotonic", lambda: now)

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await part.wait()
        await send({"type": "http.response.body", "body": b"two"})
        await after.wait()  # a background task

    async with asgi.http(stack(stream)) as connection:
        await connection.next()
        await connection.next()
        assert server_metrics().active == 1
        now += 2
        part.set()
        await connection.next()
        now += 60
        after.set()
    assert server_metrics().active == 0
    assert log.last["size"] == 6
    assert log.last["duration_ms"] == 2000
    assert "incomplete" not in log.last


async def test_an_error_after_the_start_is_an_incomplete_response(configure: Configure) -> None:
    """A response that breaks off is logged as a warning with the error's type, and counted apart from its status."""
    log = configure()
    cut_off = {"http_request_method": "GET", "http_route": UNMATCHED, "reason": "error"}
    name = "fastness_telemetry_incomplete_responses_total"
    before = REGISTRY.get_sample_value(name, cut_off) or 0

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise KeyError("half-way")

    response = await asgi.request(stack(fail), raise_errors=False)
    assert isinstance(response.error, KeyError)
    entry = log.last
    assert (entry["level"], entry["status"], entry["error"], entry["incomplete"]) == ("warning", 200, "KeyError", True)
    assert REGISTRY.get_sample_value(name, cut_off) == before + 1


@pytest.mark.parametrize("caught", [True, False])
async def test_an_unhandled_error_counts_as_500(configure: Configure, caught: bool) -> None:
    """Whether the innermost layer answers it or the server has to, the request failed with 500."""
    log = configure()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("at once")

    before = count(500)
    await asgi.request(stack(ProblemMiddleware(fail) if caught else fail), raise_errors=False)
    access = next(entry for entry in log.entries if entry["logger"] == "fastness.access")
    assert (access["level"], access["status"], access["error"]) == ("warning", 500, "KeyError")
    assert "incomplete" not in access
    assert count(500) == before + 1


async def test_a_client_that_goes_away_is_no_fault_of_the_service(configure: Configure) -> None:
    """Before an answer it counts as 499; during one the response is marked, and neither is a warning."""
    log = configure()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/started":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        if scope["path"] == "/raises":
            raise ClientDisconnect

    before = count(499)
    for path in ("/silent", "/raises", "/started"):
        try:
            await run(stack(wait), asgi.scope(path=path), {"type": "http.disconnect"})
        except ClientDisconnect:
            assert path == "/raises"
    assert [(entry["status"], entry["disconnected"], entry["level"]) for entry in log.entries] == [
        (499, True, "info"),
        (499, True, "info"),
        (200, True, "info"),
    ]
    assert count(499) == before + 2


async def test_exempt_paths_are_measured_and_logged_only_when_they_fail(configure: Configure) -> None:
    """Probes do not fill the log, unless they say that something is wrong."""
    log = configure()
    status = 200

    async def probe(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    before = count(200)
    await asgi.request(stack(probe), "/livez")
    assert log.lines == []
    assert count(200) == before + 1
    status = 503
    await asgi.request(stack(probe), "/livez")
    assert log.last["status"] == 503


async def test_a_refusal_by_an_inner_layer_is_measured(configure: Configure) -> None:
    """What a layer further in answers itself is logged and counted like any answer."""
    log = configure()

    class Refuse(Layer):
        def enter(self, exchange: Any) -> Any:
            return answer

    await asgi.request(stack(Refuse(answer)))
    assert log.last["status"] == 201


async def test_thresholds_are_bounds() -> None:
    """The share of requests within an SLO's threshold can be read exactly; another app in the process keeps its own bounds."""
    for threshold in (0.1234, 0.4321):
        TelemetryMiddleware(answer, slos=[SLO("fast", ("/x",), latency=Latency(threshold, 0.99))])
    app = stack(answer, slos=[SLO("fast", ("/x",), latency=Latency(0.1234, 0.99))])
    await asgi.request(app)
    server_metrics().hand_over()
    for bound in ("0.1234", "0.4321", "0.25"):
        labels = {"http_request_method": "GET", "http_route": UNMATCHED, "http_response_status_code": "201", "le": bound}
        assert (REGISTRY.get_sample_value(f"{DURATION}_bucket", labels) or 0) >= 1


async def test_an_app_goes_on_counting_after_another_one_has_added_bounds() -> None:
    """A second app with further objectives does not take the first one's metrics away."""
    first = stack(answer)
    await asgi.request(first)
    stack(answer, slos=[SLO("odd", ("/x",), latency=Latency(0.0777, 0.99))])
    await asgi.request(first)
    assert count(201) == 1


async def test_labels_are_bounded() -> None:
    """Methods that do not exist share a label, and so do status codes that do not."""

    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 999, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    before = count("_OTHER", method="_OTHER")
    size = len(server_metrics().series)
    for number in range(20):
        scope = asgi.scope()
        scope["method"] = f"M{number}"
        await run(stack(odd), scope)
    assert count("_OTHER", method="_OTHER") == before + 20
    assert len(server_metrics().series) <= size + 1


async def test_body_sizes_are_measured() -> None:
    """Response bodies are counted by size."""
    name = "http_server_response_body_size_bytes_sum"
    before = count(name=name)
    await asgi.request(stack(answer))
    assert count(name=name) == before + 5


async def test_requests_in_flight_are_a_gauge() -> None:
    """The gauge counts requests that have not ended, and only those."""
    go = asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await answer(scope, receive, send)

    async with asgi.http(stack(wait)) as first, asgi.http(stack(wait)) as second:
        await asyncio.sleep(0)
        assert REGISTRY.get_sample_value("http_server_active_requests") == 2
        go.set()
        await first.response()
        await second.response()
    assert REGISTRY.get_sample_value("http_server_active_requests") == 0


async def test_a_failure_to_record_fails_no_request(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """When measuring goes wrong the client has its answer, and the log says what went wrong."""
    log = configure()

    def fail(*_: Any) -> None:
        raise RuntimeError("no label")

    monkeypatch.setattr("fastness.telemetry.routes.Routes.label", fail)
    response = await asgi.request(stack(answer))
    assert response.status == 201
    assert log.last["error"] == "RuntimeError"
    assert server_metrics().active == 0


async def test_a_server_that_configures_logging_late_is_adopted(configure: Configure) -> None:
    """uvicorn may set up its loggers after the app did; building the middleware puts that right."""
    configure()
    logging.getLogger("uvicorn.access").addHandler(logging.NullHandler())
    TelemetryMiddleware(answer)
    assert not logging.getLogger("uvicorn.access").hasHandlers()
    assert logs.output() is not None


def test_the_lag_of_the_loop_is_how_late_a_timer_is() -> None:
    """A loop that is blocked for 0.3 seconds has a lag of about that; one that is not has none."""

    class Loop:
        def __init__(self) -> None:
            self.now = 0.0
            self.timers: list[Any] = []

        def time(self) -> float:
            return self.now

        def call_at(self, when: float, callback: Any, *args: Any) -> None:
            self.timers.append((when, callback, args))

        def advance(self, seconds: float) -> None:
            self.now += seconds
            (_, callback, args) = self.timers.pop()
            callback(*args)

    loop: Any = Loop()
    watch = LoopWatch(interval=0.5)

    def observed(bound: str) -> float:
        return REGISTRY.get_sample_value("fastness_event_loop_lag_seconds_bucket", {"le": bound}) or 0.0

    below, at = observed("0.25"), observed("0.5")
    watch._wait(loop)
    loop.advance(0.8)
    assert (observed("0.25"), observed("0.5")) == (below, at + 1)
    loop.advance(0.5)
    assert (observed("0.25"), observed("0.5")) == (below + 1, at + 2)
    assert len(loop.timers) == 1


async def test_each_loop_is_watched_once() -> None:
    """However many requests there are, a loop has one timer; its thread pool is among the observed pools."""
    loop = asyncio.get_running_loop()
    watch = LoopWatch()
    calls: list[Any] = []
    original = loop.call_at
    loop.call_at = lambda *args, **kwargs: calls.append(args) or original(*args, **kwargs)  # type: ignore[method-assign]
    try:
        for _ in range(3):
            watch.ensure()
        watch._last = None
        watch.ensure()
    finally:
        loop.call_at = original  # type: ignore[method-assign]
    assert len(calls) == 1


def test_the_line_is_json(configure: Configure) -> None:
    """Every character of a value is escaped, so that a line is always one JSON document."""
    assert json.loads(logs.encode({"a": "\u2028\n\x00é"})) == {"a": "\u2028\n\x00é"}
