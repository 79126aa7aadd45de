"""Calls to a real server that does whatever servers do."""

import asyncio
import gzip
import sys
from email.utils import formatdate
from time import monotonic, time

import httpx2
import pytest
import stamina
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.middleware import Middleware

from fastness import outbound, problems
from fastness.context import ContextMiddleware
from fastness.deadline import DeadlineMiddleware
from fastness.lifespan import Resources
from fastness.outbound import (
    PROBLEMS,
    Guard,
    OutboundError,
    ResponseTooLargeError,
    Retries,
    RetryBudget,
    SaturatedError,
    UnavailableError,
    UnreachableError,
    Upstream,
    UpstreamTimeoutError,
)
from fastness.problems import ProblemMiddleware
from fastness.testing import asgi, no_leaks

from .conftest import answer, hang, reset, serving

QUICK = Retries(wait=0.001, max_wait=0.01)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_an_answer_is_given_whole(opened):
    """Status, headers and body, whatever the status; the request arrives as it was given."""
    async with serving(answer(404, b'{"a":1}', content_type="application/json", x_mine="1")) as server:
        upstream = await opened(server.url + "/v1", headers={"authorization": "Bearer x"})
        response = await upstream.request("POST", "charges", params={"dry": 1}, json={"b": 2})
    assert (response.status_code, response.json(), response.headers["x-mine"]) == (404, {"a": 1}, "1")
    [(first, headers, body)] = server.requests
    assert (first, body) == ("POST /v1/charges?dry=1 HTTP/1.1", b'{"b":2}')
    assert headers["authorization"] == "Bearer x"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("DELETE", {}), ("POST", {"Idempotency-Key": "k"})])
async def test_not_now_is_tried_again(opened, status, method, headers):
    """An idempotent or keyed request is made until it is answered, at most three times, on one connection."""
    async with serving(answer(status, b"no"), answer(status, b"no"), answer(200, b"yes")) as server:
        upstream = await opened(server.url, retries=QUICK)
        response = await upstream.request(method, headers=headers)
    assert (response.text, len(server.requests), server.connections) == ("yes", 3, 1)


@pytest.mark.parametrize("status", [400, 404, 408, 409, 425, 500, 501])
async def test_other_statuses_are_answers(opened, status):
    """They are for the caller to read; asking again would not change them, or nobody knows whether it would."""
    async with serving(answer(status)) as server:
        upstream = await opened(server.url, retries=QUICK)
        assert (await upstream.request("GET")).status_code == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("failure", [answer(503), reset])
async def test_what_must_not_be_made_twice_is_made_once(opened, method, failure):
    """Without a key, nobody knows whether the first attempt had its effect."""
    async with serving(failure) as server:
        upstream = await opened(server.url, retries=QUICK)
        with pytest.raises(OutboundError) as caught:
            await upstream.request(method, content=b"x")
    assert (caught.value.attempts, len(server.requests)) == (1, 1)


async def test_three_attempts_are_the_most(opened):
    """Then the error says what the upstream answered, how often it was asked, and what to do."""
    async with serving(answer(503)) as server:
        upstream = await opened(server.url, name="payments", retries=QUICK)
        with pytest.raises(UnavailableError) as caught:
            await upstream.request("GET")
    assert (caught.value.upstream, caught.value.attempts, caught.value.status) == ("payments", 3, 503)
    assert str(caught.value) == "upstream 'payments': it answered 503 (3 attempts)"
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "error"), [(502, UnreachableError), (504, UpstreamTimeoutError), (429, UnavailableError)])
async def test_a_failing_status_has_its_error(opened, status, error):
    """A gateway's own failures are told apart."""
    async with serving(answer(status)) as server:
        upstream = await opened(server.url, retries=Retries(attempts=1))
        with pytest.raises(error) as caught:
            await upstream.request("GET")
    assert caught.value.status == status


async def test_a_broken_connection_is_tried_again(opened):
    """Before an answer and in the middle of one; the cause is kept when it stays broken."""
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"

    async def half(reader, writer):
        writer.write(cut)
        await writer.drain()

    async with serving(reset, half, answer(200, b"whole"), reset) as server:
        upstream = await opened(server.url, retries=QUICK)
        assert (await upstream.request("GET")).text == "whole"
        with pytest.raises(UnreachableError) as caught:
            await upstream.request("GET")
    assert caught.value.attempts == 3
    assert caught.value.__cause__ is not None


async def test_nobody_there_is_unreachable(opened):
    """A port where nobody listens."""
    upstream = await opened("http://127.0.0.1:9", retries=QUICK)
    with pytest.raises(UnreachableError, match="ConnectError"):
        await upstream.request("GET")


async def test_retry_after_is_waited_for(opened):
    """In full, if the call has the time."""
    async with serving(answer(429, retry_after="1"), answer(200)) as server:
        upstream = await opened(server.url, timeout=60, retries=QUICK)
        began = monotonic()
        await upstream.request("GET")
        assert monotonic() - began >= 1
    assert len(server.requests) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_call_without_the_time_for_retry_after_is_given_up_at_once(opened, form):
    """Seconds or a date: the caller learns of it instead of waiting for nothing."""
    value = "3600" if form == "seconds" else formatdate(time() + 3600, usegmt=True)
    before = sample("fastness_outbound_denied_total", upstream="denied", kind="retry", reason="retry_after")
    async with serving(answer(503, retry_after=value)) as server:
        upstream = await opened(server.url, name="denied", timeout=60)
        with pytest.raises(UnavailableError) as caught:
            await upstream.request("GET")
    assert (caught.value.attempts, len(server.requests)) == (1, 1)
    assert caught.value.retry_after is not None
    assert 3000 < caught.value.retry_after <= 3600
    assert sample("fastness_outbound_denied_total", upstream="denied", kind="retry", reason="retry_after") == before + 1


async def test_the_budget_bounds_retries_of_all_calls(opened):
    """When it is used up, calls are made once and no more."""
    async with serving(answer(503)) as server:
        upstream = await opened(server.url, retries=QUICK, budget=RetryBudget(reserve=3))
        results = await asyncio.gather(*(upstream.request("GET") for _ in range(30)), return_exceptions=True)
    assert {type(result) for result in results} == {UnavailableError}
    assert 33 <= len(server.requests) <= 36


async def test_a_call_ends_with_its_time(opened):
    """An upstream that hangs costs the timeout, not more; the attempt's time is tried again within it."""
    async with serving(hang) as server:
        upstream = await opened(server.url, name="late", timeout=30, attempt_timeout=0.05, retries=QUICK)
        with pytest.raises(UpstreamTimeoutError) as caught:
            await upstream.request("GET")
        assert caught.value.attempts == 3
        with pytest.raises(UpstreamTimeoutError) as caught:
            await upstream.request("POST", timeout=0.05)
        assert caught.value.attempts == 1
    assert sample("fastness_outbound_attempts_total", upstream="late", outcome="timeout") == 4


async def test_a_body_that_drips_does_not_prolong_a_call(opened):
    """Reading is part of the call."""

    async def drip(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as server:
        upstream = await opened(server.url, timeout=0.2)
        with pytest.raises(UpstreamTimeoutError):
            await upstream.request("GET")
        with pytest.raises(UpstreamTimeoutError):
            async with upstream.stream("GET") as response:
                async for _ in response.aiter_bytes():
                    pass


async def test_more_calls_than_allowed_wait_and_are_refused(opened):
    """Within the bound they get their turn; after it the upstream is not asked."""
    gate = asyncio.Event()

    async def late(reader, writer):
        await gate.wait()
        writer.write(answer(200, connection="close"))

    async with serving(late) as server:
        patient = await opened(server.url, max_in_flight=2, max_wait=60, timeout=60)
        calls = [asyncio.create_task(patient.request("GET")) for _ in range(6)]
        for _ in range(2):
            await server.came.acquire()
        assert len(server.requests) == 2
        gate.set()
        assert {(await call).status_code for call in calls} == {200}
        gate.clear()
        hasty = await opened(server.url, max_in_flight=1, max_wait=0, timeout=60)
        first = asyncio.create_task(hasty.request("GET"))
        while len(server.requests) < 7:
            await server.came.acquire()
        with pytest.raises(SaturatedError) as caught:
            await hasty.request("GET")
        assert (caught.value.attempts, len(server.requests)) == (0, 7)
        gate.set()
        await first


async def test_a_cancelled_call_gives_its_place_back(opened):
    """And leaves nothing behind."""
    async with serving(hang) as server, no_leaks(grace=20):
        upstream = await opened(server.url, max_in_flight=1, timeout=60)
        for turn in range(3):
            call = asyncio.create_task(upstream.request("GET"))
            await server.came.acquire()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert len(server.requests) == turn + 1
        assert sample("fastness_outbound_in_flight", upstream="test") == 0
        await upstream.close()


@pytest.mark.parametrize("coded", [False, True])
async def test_an_answer_is_read_up_to_a_size(opened, coded):
    """Decompressed: a small answer does not become a large one. One that says its length is not read at all."""
    body = b"0" * 100_000
    headers = {"content_encoding": "gzip"} if coded else {}
    async with serving(answer(200, gzip.compress(body) if coded else body, **headers)) as server:
        small = await opened(server.url, max_response_bytes=99_999)
        with pytest.raises(ResponseTooLargeError):
            await small.request("GET")
        assert (await (await opened(server.url, max_response_bytes=100_000)).request("GET")).content == body


async def test_a_stream_is_read_as_it_comes(opened):
    """Attempts are over when the headers are there; what breaks then is an error of ours."""
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"

    async def half(reader, writer):
        writer.write(cut)
        await writer.drain()

    async with serving(answer(503), answer(200, b"whole"), half) as server:
        upstream = await opened(server.url, retries=QUICK)
        async with upstream.stream("GET") as response:
            assert [part async for part in response.aiter_bytes()] == [b"whole"]
        with pytest.raises(UnreachableError):
            async with upstream.stream("GET") as response:
                async for _ in response.aiter_bytes():
                    pass
    assert len(server.requests) == 3


async def test_what_a_block_raises_is_not_ours(opened):
    """An error of the one who reads, a timeout of their own among them, passes as it is, and is not tried again."""
    async with serving(answer(200, b"x")) as server:
        upstream = await opened(server.url, retries=QUICK)
        for error in (KeyError("mine"), TimeoutError("mine"), OutboundError("other", "x", attempts=1)):
            with pytest.raises(type(error)) as caught:
                async with upstream.stream("GET"):
                    raise error
            assert caught.value is error
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "path",
    [
        "http://evil.example/",
        "https://127.0.0.1/",
        "../admin",
        "a/../../admin",
        "/x/../../admin",
        "%2e%2e/admin",
        "a/.%2E/.%2E/admin",
        "..%2f..%2Fadmin",
        "..\\admin",
        "a/..%5c..%5Cadmin",
        "http://u:p@127.0.0.1/",
    ],
)
async def test_a_path_does_not_lead_out_of_the_base(opened, path):
    """Credentials and trust belong to the upstream that was declared."""
    async with serving() as server:
        upstream = await opened(server.url + "/v1/", headers={"authorization": "secret"})
        with pytest.raises(ValueError, match="leads out"):
            await upstream.request("GET", path)
        await upstream.request("GET", "//evil.example/x")
    assert [first for first, _, _ in server.requests] == ["GET /v1/x HTTP/1.1"]


async def test_redirects_are_answers_and_cookies_are_forgotten(opened):
    """Both would mix what belongs to different users or hosts."""
    async with serving(answer(302, location="/elsewhere", set_cookie="session=alice"), answer()) as server:
        upstream = await opened(server.url)
        assert (await upstream.request("GET")).status_code == 302
        await upstream.request("GET")
    assert len(server.requests) == 2
    assert "cookie" not in server.headers[1]


async def test_the_environment_sets_no_proxy(opened, monkeypatch):
    """Nor credentials: where calls go is declared."""
    async with serving() as proxy, serving() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        await (await opened(server.url)).request("GET")
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


def make_app(upstream: Upstream, *, deadline: float = 60) -> FastAPI:
    app = FastAPI(
        middleware=[
            Middleware(ContextMiddleware),
            Middleware(DeadlineMiddleware, default=deadline),
            Middleware(ProblemMiddleware),
        ],
        exception_handlers=problems.handlers(PROBLEMS),
    )

    @app.get("/")
    async def call() -> str:
        return (await upstream.request("GET")).text

    return app


async def test_a_request_goes_on_with_its_id_trace_and_time(opened):
    """The upstream learns how long this service will wait: never longer than its own caller."""
    trace = "0123456789abcdef" * 2
    sent = [
        ("x-request-id", "req-1"),
        ("traceparent", f"00-{trace}-{'1' * 16}-01"),
        ("x-request-timeout-ms", "20000"),
    ]
    async with serving() as server:
        app = make_app(await opened(server.url, timeout=40))
        assert (await asgi.request(app, "/", headers=sent)).status == 200
    [headers] = server.headers
    assert headers["x-request-id"] == "req-1"
    assert headers["traceparent"].split("-")[1::2] == [trace, "01"]
    assert headers["traceparent"].split("-")[2] != "1" * 16
    assert 0 < int(headers["x-request-timeout-ms"]) <= 20_000


async def test_outside_of_a_request_there_is_only_the_time(opened):
    """A script or a job has no id to send on; headers of its own stay as they are."""
    async with serving() as server:
        upstream = await opened(server.url, timeout=40)
        await upstream.request("GET", headers={"x-request-id": "mine"})
    [headers] = server.headers
    assert "traceparent" not in headers
    assert headers["x-request-id"] == "mine"
    assert 0 < int(headers["x-request-timeout-ms"]) <= 40_000


@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [
        (answer(503), 503, "unavailable"),
        (reset, 502, "unreachable"),
        (answer(504), 504, "timeout"),
        (answer(502), 502, "unreachable"),
    ],
)
async def test_an_unhandled_error_is_a_problem_that_says_nothing_of_inside(opened, reply, status, kind):
    """A gateway's statuses, with neither host nor cause."""
    async with serving(reply) as server:
        app = make_app(await opened(server.url, name="inner", retries=QUICK))
        response = await asgi.request(app, "/")
    assert (response.status, response.json()["type"]) == (status, f"urn:problem-type:fastness:upstream-{kind}")
    assert b"inner" not in response.body
    assert b"127.0.0.1" not in response.body


async def test_a_request_without_time_left_calls_nobody(opened):
    """The deadline bounds what is called; when it has passed, the upstream is left in peace."""
    async with serving(hang) as server:
        app = make_app(await opened(server.url, retries=QUICK), deadline=60)
        response = await asgi.request(app, "/", headers=[("x-request-timeout-ms", "0")])
    assert response.status == 504
    assert server.requests == []


async def test_metrics_tell_attempts_retries_and_time(opened):
    """By the declared name of the upstream."""
    async with serving(answer(503), answer(200)) as server:
        await (await opened(server.url, name="measured", retries=QUICK)).request("GET")
    assert sample("fastness_outbound_attempts_total", upstream="measured", outcome="5xx") == 1
    assert sample("fastness_outbound_attempts_total", upstream="measured", outcome="2xx") == 1
    assert sample("fastness_outbound_retries_total", upstream="measured") == 1
    assert sample("fastness_outbound_duration_seconds_count", upstream="measured", outcome="ok") == 1


async def test_staminas_hooks_hear_of_others_retries_only(opened):
    """Ours are counted here. The hooks of the application, and what it retries itself, are as they were."""
    heard = []
    before = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([heard.append])
    try:
        async with serving(answer(503), answer(503), answer(200), answer(503)) as server:
            upstream = await opened(server.url, retries=QUICK)
            await opened(server.url, name="second")
            assert (await upstream.request("GET")).status_code == 200
            assert heard == []
            caller = stamina.AsyncRetryingCaller(attempts=2, wait_initial=0, wait_max=0)
            with pytest.raises(UnavailableError):
                await caller(OutboundError, upstream.request, "POST")
            assert [type(details.caused_by) for details in heard] == [UnavailableError]
    finally:
        stamina.instrumentation.set_on_retry_hooks(before)


async def test_staminas_switches_work(opened):
    """`set_active(False)` turns retries off, as tests of an application expect."""
    async with serving(answer(503)) as server:
        upstream = await opened(server.url, retries=Retries(wait=100, max_wait=100), timeout=1000)
        stamina.set_active(False)
        try:
            with pytest.raises(UnavailableError):
                await upstream.request("GET")
        finally:
            stamina.set_active(True)
        assert len(server.requests) == 1
        with stamina.set_testing(True, attempts=3), pytest.raises(UnavailableError):
            await upstream.request("GET")
    assert len(server.requests) == 4


async def test_it_is_a_resource(opened):
    """It opens and closes with the lifespan, more than once, and says so when it is not open."""
    async with serving() as server:
        upstream = Upstream("payments", server.url)
        with pytest.raises(RuntimeError, match="not open"):
            await upstream.request("GET")
        for _ in range(2):
            async with no_leaks(grace=20), Resources([upstream]).lifespan() as state:
                assert (await state["payments"].request("GET")).status_code == 200
                await upstream.check()


async def test_it_is_opened_once_at_a_time(opened):
    """Another client would take the place of the first, which nobody closes then."""
    upstream = await opened("http://x.example", name="payments")
    with pytest.raises(RuntimeError, match="'payments' is already open"):
        await upstream.open()


async def test_what_is_not_installed_is_said_when_it_opens(monkeypatch):
    """With the extra to install, not with the name of a library."""
    monkeypatch.delattr(outbound, "_call", raising=False)
    monkeypatch.delitem(sys.modules, "fastness.outbound._call", raising=False)
    monkeypatch.setitem(sys.modules, "stamina", None)
    with pytest.raises(RuntimeError, match=r"'payments' needs the http extra: pip install 'fastness\[http\]'"):
        await Upstream("payments", "http://x.example").open()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_url": None}, "base_url"),
        ({"base_url": None, "guard": Guard(), "transport": httpx2.MockTransport(lambda _: httpx2.Response(200))}, "transport"),
        ({"timeout": 0}, "timeout"),
        ({"attempt_timeout": float("inf")}, "attempt_timeout"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_wait": -1}, "max_wait"),
        ({"failures": [200]}, "failures"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    """When it is made, before anything is called."""
    with pytest.raises(ValueError, match=says):
        Upstream("x", **{"base_url": "http://x.example", **options})


async def test_a_base_that_is_no_address_is_refused():
    """When it opens."""
    for base in ("payments", "ftp://x.example", "/v1"):
        with pytest.raises(ValueError, match="absolute"):
            await Upstream("x", base).open()
