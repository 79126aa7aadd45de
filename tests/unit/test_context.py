"""Request id, trace context and client address."""

import contextvars
import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse

from fastness import context
from fastness._asgi import Receive, Scope, Send
from fastness.context import ContextMiddleware, RequestContext
from fastness.testing.asgi import request, websocket

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


async def show(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the current context."""
    current = context.current()
    assert current is not None
    facts = {name: getattr(current, name) for name in RequestContext.__slots__}
    await JSONResponse(facts | {"scheme": Request(scope).url.scheme})(scope, receive, send)


async def seen(headers: Any = (), *, proxies: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    response = await request(ContextMiddleware(show, trusted_proxies=proxies), headers=headers, **options)
    return {**response.json(), "echoed": response.headers["x-request-id"]}


async def test_a_request_without_ids_gets_one_that_is_its_trace_id() -> None:
    """One random id names both the request and the trace, and is sent back."""
    facts = await seen()
    assert len(facts["trace_id"]) == 32
    assert int(facts["trace_id"], 16)
    assert facts["request_id"] == facts["trace_id"] == facts["echoed"]
    assert facts["span_id"] is None
    assert facts["sampled"] is None
    assert facts["request_id"] != (await seen())["request_id"]


async def test_a_random_id_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even once in 2 ** 128 requests: an id of only zeros is no trace id."""
    monkeypatch.setattr("fastness.context.random.getrandbits", lambda bits: 0)
    assert int((await seen())["trace_id"], 16)


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("ff", True)])
async def test_the_trace_of_the_caller_goes_on(flags: str, sampled: bool) -> None:
    """A valid traceparent gives trace, parent span and sampling decision."""
    facts = await seen({"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    assert (facts["trace_id"], facts["span_id"], facts["sampled"]) == (TRACE, SPAN, sampled)
    assert facts["request_id"] == TRACE


@pytest.mark.parametrize(
    "value",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0g",
        "",
        "x" * 10_000,
    ],
)
async def test_an_invalid_traceparent_starts_a_new_trace(value: str) -> None:
    """What the W3C recommendation calls invalid is ignored, never passed on."""
    facts = await seen({"traceparent": value})
    assert facts["trace_id"] != TRACE
    assert facts["span_id"] is None


async def test_a_later_traceparent_version_may_carry_more() -> None:
    """A version above 00 is read as far as version 00 goes."""
    facts = await seen({"traceparent": f"cc-{TRACE}-{SPAN}-01-what-comes-later"})
    assert facts["trace_id"] == TRACE


async def test_a_well_formed_request_id_is_kept() -> None:
    """The client's X-Request-ID is used and echoed; the trace keeps its own id."""
    facts = await seen({"x-request-id": "order-17.a_B"})
    assert facts["request_id"] == facts["echoed"] == "order-17.a_B"
    assert facts["trace_id"] != facts["request_id"]


@given(value=st.binary(min_size=1, max_size=300))
def test_a_request_id_is_echoed_only_if_it_can_do_no_harm(value: bytes) -> None:
    """No byte outside the safe alphabet reaches a header or a log."""
    middleware = ContextMiddleware(show)
    scope = {"type": "http", "client": None, "headers": [(b"x-request-id", value)]}
    made = middleware._context(scope, dict(scope["headers"]))  # type: ignore[arg-type, call-overload]
    assert made.request_id.isascii()
    assert set(made.request_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert len(made.request_id) <= 128


async def test_the_context_ends_with_the_request() -> None:
    """Nothing of a request is left for the next one in the same task."""
    await ContextMiddleware(show)({**_scope(), "state": {}}, _receive, _drop)
    assert context.current() is None


async def test_a_websocket_has_a_context_too() -> None:
    """A WebSocket connection has a request id and a client."""
    found: list[RequestContext | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(context.current())
        await receive()
        await send({"type": "websocket.close"})

    async with websocket(ContextMiddleware(app), headers={"x-request-id": "ws-1"}) as connection:
        await connection.response()
    assert found[0] is not None
    assert found[0].request_id == "ws-1"
    assert found[0].client == "127.0.0.1"


async def test_nobody_is_believed_without_declared_proxies() -> None:
    """X-Forwarded-For from a stranger changes nothing."""
    facts = await seen({"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https"}, client=("9.9.9.9", 1))
    assert facts["client"] == "9.9.9.9"
    assert facts["scheme"] == "http"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
        (["6.6.6.6, , 10.0.0.2"], "10.0.0.2"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
async def test_the_chain_is_read_from_the_right(forwarded: list[str], client: str) -> None:
    """The first address from the right that is not a trusted proxy is the client; what stands left of it is hearsay."""
    lines = [("x-forwarded-for", line) for line in forwarded]
    assert (await seen(lines, proxies=("10.0.0.0/8",), client=("10.0.0.1", 1)))["client"] == client


async def test_several_proxies_may_be_declared() -> None:
    """Each of them is one, though none is in all of the networks."""
    for peer in ("10.0.0.1", "192.0.2.1"):
        facts = await seen({"x-forwarded-for": "203.0.113.7"}, proxies=("10.0.0.0/8", "192.0.2.1"), client=(peer, 1))
        assert facts["client"] == "203.0.113.7"


async def test_a_stranger_cannot_pose_as_a_proxy() -> None:
    """The headers count only when the peer itself is trusted."""
    facts = await seen({"x-forwarded-for": "1.2.3.4"}, proxies=("10.0.0.0/8",), client=("9.9.9.9", 1))
    assert facts["client"] == "9.9.9.9"


async def test_the_scheme_comes_from_the_nearest_proxy() -> None:
    """X-Forwarded-Proto is believed from a trusted proxy, its last entry, and only if it is http or https."""
    for value, scheme in [("https", "https"), ("http, https", "https"), ("javascript", "http")]:
        facts = await seen({"x-forwarded-proto": value}, proxies=("10.0.0.1",), client=("10.0.0.1", 1))
        assert facts["scheme"] == scheme


@pytest.mark.parametrize(("forwarded", "scheme"), [("https", "wss"), ("http", "ws")])
async def test_what_is_forwarded_of_a_websocket(forwarded: str, scheme: str) -> None:
    """The scheme is that of a WebSocket, and the client's port is not known."""
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)
        await receive()
        await send({"type": "websocket.close"})

    headers = {"x-forwarded-for": "203.0.113.7:4711", "x-forwarded-proto": forwarded}
    behind = ContextMiddleware(app, trusted_proxies=["127.0.0.1"])
    async with websocket(behind, headers=headers, scheme="ws" if scheme == "wss" else "wss") as connection:
        await connection.response()
    assert (found[0]["scheme"], found[0]["client"]) == (scheme, ("203.0.113.7", 0))


async def test_a_unix_socket_has_no_client() -> None:
    """A server without peer addresses gives none, with and without proxies."""
    assert (await seen(client=None))["client"] is None
    assert (await seen({"x-forwarded-for": "1.2.3.4"}, proxies=("10.0.0.1",), client=None))["client"] is None


def test_a_malformed_proxy_is_refused() -> None:
    """A typing error in the list of proxies is told at start."""
    with pytest.raises(ValueError, match="trusted_proxies"):
        ContextMiddleware(show, trusted_proxies=["10.0.0.0/99"])


def test_a_network_is_its_address() -> None:
    """Of an address with a network's length behind it, either may be meant."""
    made = ContextMiddleware(show, trusted_proxies=["10.1.2.3/8"])
    scope = {"type": "http", "client": ("10.9.9.9", 1), "headers": [(b"x-forwarded-for", b"203.0.113.7")]}
    assert made._context(scope, {}).client == "203.0.113.7"


@given(st.lists(st.text(max_size=40), max_size=6))
def test_whatever_is_forwarded_the_client_is_an_address(hops: list[str]) -> None:
    """No forwarded text can make the client anything but an address."""
    middleware = ContextMiddleware(show, trusted_proxies=["10.0.0.0/8"])
    headers = [(b"x-forwarded-for", hop.encode("utf-8", "surrogatepass")) for hop in hops]
    made = middleware._context({"type": "http", "client": ("10.0.0.1", 1), "headers": headers}, dict(headers))
    assert made.client is not None
    ipaddress.ip_address(made.client)


def test_remaining_time_never_goes_below_zero() -> None:
    """A passed deadline leaves no time, and no deadline leaves None."""
    made = RequestContext(request_id="a", trace_id="b")
    assert made.remaining() is None
    made.deadline = 0.0
    assert made.remaining() == 0.0


def _scope() -> dict[str, Any]:
    return {
        "type": "http",
        "path": "/",
        "method": "GET",
        "scheme": "http",
        "query_string": b"",
        "headers": [],
        "server": ("a", 1),
    }


async def _receive() -> Any:
    return {"type": "http.request", "body": b""}


async def _drop(message: Any) -> None:
    pass


def test_work_in_the_name_of_a_request() -> None:
    """Within the block it is the current one, also for what copies the context; afterwards it is not."""
    asked = RequestContext("a", "a" * 32)
    with context.within(asked):
        assert context.current() is asked
        with context.within(None):
            assert context.current() is None
        copied = contextvars.copy_context()
    assert context.current() is None
    assert copied.run(context.current) is asked
