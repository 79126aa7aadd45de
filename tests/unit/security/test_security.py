"""The security layer and its policy."""

from inspect import signature
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from fastness import problems
from fastness._asgi import Message, Receive, Scope, Send
from fastness.security import CORS, SecurityMiddleware, SecurityPolicy
from fastness.testing.asgi import http, request, scope, websocket


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("served", headers={"vary": "Accept"})(scope, receive, send)


def layer(app: Any = served, **policy: Any) -> SecurityMiddleware:
    return SecurityMiddleware(app, policy=SecurityPolicy(**policy))


async def test_responses_carry_the_security_headers() -> None:
    """Each once, without HSTS where there is no TLS."""
    headers = (await request(layer())).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers
    assert (await request(layer(), scheme="https")).headers["strict-transport-security"] == "max-age=63072000"
    assert "strict-transport-security" not in (await request(layer(hsts_max_age=0), scheme="https")).headers


async def test_the_app_has_the_last_word_on_its_headers() -> None:
    """A header that the app sets is left alone, and never doubled."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("", headers={"cache-control": "max-age=60"})(scope, receive, send)

    headers = (await request(layer(app))).headers
    assert headers.getlist("cache-control") == ["max-age=60"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_policy_may_add_change_and_remove_headers() -> None:
    """`headers` is the last word of the policy."""
    headers = (await request(layer(headers={"X-Frame-Options": "DENY", "Cache-Control": ""}))).headers
    assert headers["x-frame-options"] == "DENY"
    assert "cache-control" not in headers


async def test_documentation_pages_may_run_their_scripts() -> None:
    """The content security policy is wider there, and only there."""
    headers = (await request(layer(), "/docs")).headers
    assert "cdn.jsdelivr.net" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "cdn.jsdelivr.net" not in (await request(layer(), "/docs/x")).headers["content-security-policy"]


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("api.example.com", True),
        ("API.Example.COM", True),
        ("api.example.com:8443", True),
        ("eu.shop.example", True),
        ("eu.shop.example:80", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("a:8000", True),
        (":8000", False),
        ("shop.example", False),
        ("evilshop.example", False),
        ("api.example.com.evil.org", False),
        ("evil.org", False),
        ("api.example.com@evil.org", False),
        ("", False),
    ],
)
async def test_only_known_hosts_are_served(host: str, known: bool) -> None:
    """Names are compared whole and without port; a wildcard is for names below it."""
    app = layer(hosts=("api.example.com", "*.shop.example", "[::1]", "a"))
    response = await request(app, headers={"host": host})
    assert response.status == (200 if known else 421)
    if not known:
        assert response.json()["type"] == "urn:problem-type:fastness:unknown-host"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_probes_are_served_under_any_host() -> None:
    """A platform calls probes by address."""
    assert (await request(layer(hosts=("api.example.com",)), "/readyz", headers={"host": "10.1.2.3:8000"})).status == 200


@given(st.binary(max_size=40))
def test_no_host_line_slips_through(host: bytes) -> None:
    """Whatever bytes come as Host, only the declared name is known."""
    assert layer(hosts=("api.example.com",))._is_known(host) == (
        host.lower() == b"api.example.com" or host.lower().startswith(b"api.example.com:")
    )


async def test_headers_have_a_limit() -> None:
    """Oversize headers are a 431, and the connection is closed."""
    repeated = [("cookie", "x" * 20_000), ("cookie", "x" * 20_000)]
    for headers in ([("cookie", "x" * 40_000)], repeated, [(f"x-{number}", "") for number in range(101)]):
        response = await request(layer(), headers=headers)
        assert response.status == 431
        assert response.headers["connection"] == "close"
    assert (await request(layer(), headers=[(f"x-{number}", "") for number in range(100)])).status == 200
    for size, status in ((1024, 200), (1025, 431)):
        for headers in ([("cookie", "x" * size)], [("cookie", "x" * 1000), ("cookie", "x" * (size - 1000))]):
            assert (await request(layer(max_header_size=1024), headers=headers)).status == status


async def test_two_hosts_are_one_too_many() -> None:
    """Whoever stands in front might have decided on the other one (RFC 9112, section 3.2)."""
    hosts = [("host", "api.example.com"), ("accept", "*/*"), ("host", "other.example")]
    assert (await request(layer(hosts=("api.example.com",)), headers=hosts)).status == 400
    accepts = [("accept", "*/*"), ("host", "api.example.com"), ("accept", "text/html")]
    assert (await request(layer(hosts=("api.example.com",)), headers=accepts)).status == 200


# FastAPI's own limits came with 0.164.
ROUTE_LIMITS = "max_body_size" in signature(APIRouter).parameters


def service(**policy: Any) -> FastAPI:
    app = FastAPI(
        middleware=[Middleware(SecurityMiddleware, policy=SecurityPolicy(max_body_size=10, **policy))],
        exception_handlers=problems.handlers(),
    )
    larger: Any = {"max_body_size": 100} if ROUTE_LIMITS else {}
    smaller: Any = {"max_body_size": 4} if ROUTE_LIMITS else {}
    uploads = APIRouter(prefix="/uploads", **larger)

    @app.post("/")
    @uploads.post("")
    @uploads.post("/small", **smaller)
    async def read(request: Request) -> int:
        return len(await request.body())

    app.include_router(uploads, prefix="/v1")
    app.include_router(uploads, prefix="/apiary")
    return app


async def post(app: Any, body: bytes, path: str = "/", *, length: int | None = None, **options: Any) -> Any:
    headers = {"content-length": str(len(body) if length is None else length), **options.pop("headers", {})}
    return await request(app, path, method="POST", body=body, headers=headers, **options)


async def test_a_body_over_the_limit_is_refused() -> None:
    """With a Content-Length, before the app sees anything; the answer says the limit and closes the connection."""
    assert (await post(service(), b"x" * 10)).status == 200
    response = await post(service(), b"x" * 11)
    assert response.status == 413
    assert response.json()["limit"] == 10
    assert response.headers["connection"] == "close"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_body_without_length_is_counted() -> None:
    """A chunked body is refused when it passes the limit, with the same status."""
    app = service()
    assert (await request(app, "/", method="POST", body=[b"x" * 5, b"x" * 5])).status == 200
    response = await request(app, "/", method="POST", body=[b"x" * 6, b"x" * 6, b"x"])
    assert response.status == 413
    assert response.headers["content-type"] == "application/problem+json"
    both = {"content-length": "5", "transfer-encoding": "chunked"}
    assert (await request(app, "/", method="POST", body=[b"x" * 6, b"x" * 6, b"x"], headers=both)).status == 413


@pytest.mark.skipif(not ROUTE_LIMITS, reason="this FastAPI has no max_body_size")
async def test_a_route_may_take_more_or_less() -> None:
    """FastAPI's own `max_body_size` on a router or a route takes the place of the policy's."""
    app = service()
    assert (await post(app, b"x" * 100, "/v1/uploads")).json() == 100
    assert (await request(app, "/v1/uploads", method="POST", body=[b"x" * 60, b"x" * 40])).json() == 100
    assert (await post(app, b"x" * 101, "/v1/uploads")).status == 413
    assert (await request(app, "/v1/uploads", method="POST", body=[b"x" * 60, b"x" * 41])).status == 413
    assert (await post(app, b"x" * 5, "/v1/uploads/small")).status == 413
    assert (await post(app, b"x" * 50, "/v1/uploads", headers={}, state={})).status == 200


@pytest.mark.skipif(not ROUTE_LIMITS, reason="this FastAPI has no max_body_size")
@pytest.mark.parametrize("path", ["/api/v1/uploads", "/v1/uploads", "/apiary/uploads"])
@pytest.mark.parametrize("root_path", ["/api", "/api/"])
async def test_a_route_is_found_below_the_root_path(path: str, root_path: str) -> None:
    """Whether or not the proxy in front takes the root path off; a path that only begins with its letters is another one."""
    refused = await post(service(), b"x" * 101, path, root_path=root_path)
    assert (refused.status, refused.json()["limit"]) == (413, 100)


async def test_an_unwanted_body_is_read_before_the_refusal() -> None:
    """Closing with unread data would reset the connection and lose the answer."""
    async with http(service(), "/", method="POST", headers={"content-length": "1000"}) as connection:
        connection.body(b"x" * 500, more=True)
        connection.body(b"x" * 500)
        assert (await connection.next())["status"] == 413
        assert connection._inbox.empty()


async def test_a_client_that_has_left_sends_no_unwanted_body() -> None:
    """It is asked once: a server says at once, and as often as it is asked, that nobody is there any more."""
    asked: list[str] = []

    async def receive() -> Message:
        asked.append("receive")
        assert len(asked) < 5
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        asked.append(message["type"])

    await layer(max_body_size=10)(scope(method="POST", headers={"content-length": "1000"}), receive, send)
    assert asked == ["receive", "http.response.start", "http.response.body"]


async def test_no_more_of_an_unwanted_body_is_read_than_is_polite() -> None:
    """After 4 MiB the client is told, whether or not it has stopped sending."""
    async with http(service(), "/", method="POST", headers={"content-length": "1000000000"}) as connection:
        for _ in range(5):
            connection.body(b"x" * 1_048_576, more=True)
        assert (await connection.next())["status"] == 413
        assert connection._inbox.qsize() == 1


async def test_a_client_that_waits_for_leave_is_told_at_once() -> None:
    """With Expect: 100-continue the body has not been sent, and must not be asked for."""
    headers = {"content-length": "1000", "expect": "100-continue"}
    async with http(service(), "/", method="POST", headers=headers) as connection:
        assert (await connection.next())["status"] == 413


async def test_a_length_that_is_no_number_is_refused() -> None:
    """A server passes on what it does not check."""
    for value in ("ten", "-1", "1e3", "9" * 20, "9" * 5000):
        assert (await request(service(), "/", method="POST", headers={"content-length": value})).status == 400
    assert (await request(service(), "/", method="POST", headers={"content-length": "9" * 19})).status == 413


SHOP = "https://shop.example"


async def test_allowed_origins_may_read() -> None:
    """The origin is named, caches are told, and other origins get nothing."""
    app = layer(cors=CORS(origins=(SHOP,), expose=("ETag",)))
    headers = (await request(app, headers={"origin": SHOP})).headers
    assert headers["access-control-allow-origin"] == SHOP
    assert headers["access-control-expose-headers"] == "ETag"
    assert "access-control-allow-credentials" not in headers
    for origin in ("https://evil.example", "null", "https://shop.example.evil"):
        headers = (await request(app, headers={"origin": origin})).headers
        assert "access-control-allow-origin" not in headers


async def test_caches_keep_the_answers_of_origins_apart() -> None:
    """Every answer that may be kept says so, whoever asked for it; one that may not be kept needs no words."""
    asked: list[dict[str, str]] = [{}, {"origin": SHOP}, {"origin": "https://evil.example"}]
    kept: list[Any] = [
        layer(cors=CORS(origins=(SHOP,)), cache_control="private, max-age=60"),
        layer(cors=CORS(origins=(SHOP,)), cache_control=""),
        layer(PlainTextResponse("kept", headers={"cache-control": "max-age=60"}), cors=CORS(origins=(SHOP,)), cache_control=""),
        layer(PlainTextResponse("kept", headers={"cache-control": "max-age=60"}), cors=CORS(origins=(SHOP,))),
    ]
    for headers in asked:
        for app in kept:
            assert "Origin" in (await request(app, headers=headers)).headers.getlist("vary")
        assert "Origin" not in (await request(layer(cors=CORS(origins=(SHOP,))), headers=headers)).headers.getlist("vary")


async def test_a_refusal_can_be_read_by_an_allowed_origin() -> None:
    """A browser shows its script the problem, not a CORS error."""
    app = layer(cors=CORS(origins=(SHOP,)), hosts=("api.example.com",))
    response = await request(app, headers={"origin": SHOP, "host": "other"})
    assert response.status == 421
    assert response.headers["access-control-allow-origin"] == SHOP


def preflight(origin: str, method: str, headers: str = "") -> Any:
    lines = {"origin": origin, "access-control-request-method": method}
    return lines | ({"access-control-request-headers": headers} if headers else {})


async def test_preflights_are_answered_by_the_layer() -> None:
    """What is allowed is said, once, with credentials if the policy has them."""
    app = layer(cors=CORS(origins=(SHOP,), methods=("GET", "PUT"), headers=("If-Match",), credentials=True, max_age=5))
    response = await request(app, method="OPTIONS", headers=preflight(SHOP, "PUT", "if-match, content-type"))
    assert (response.status, response.body) == (204, b"")
    assert response.headers.getlist("access-control-allow-origin") == [SHOP]
    assert response.headers.getlist("access-control-allow-credentials") == ["true"]
    assert response.headers["access-control-allow-methods"] == "GET, PUT"
    assert "If-Match" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-max-age"] == "5"


@pytest.mark.parametrize(
    "asked", [preflight("https://evil.example", "PUT"), preflight(SHOP, "DELETE"), preflight(SHOP, "PUT", "x-admin")]
)
async def test_a_preflight_that_asks_too_much_is_a_problem(asked: Any) -> None:
    """Wrong origin, method or header."""
    app = layer(cors=CORS(origins=(SHOP,), methods=("GET", "PUT")))
    response = await request(app, method="OPTIONS", headers=asked)
    assert response.status == 400
    assert response.json()["type"] == "urn:problem-type:fastness:cors-refused"


async def test_what_is_no_preflight_reaches_the_app() -> None:
    """OPTIONS without a preflight's header, that header without OPTIONS, and all of it where there is no CORS."""
    app = layer(cors=CORS(origins=(SHOP,)))
    assert (await request(app, method="OPTIONS", headers={"origin": SHOP})).text == "served"
    assert (await request(app, method="OPTIONS", headers={"access-control-request-method": "PUT"})).text == "served"
    assert (await request(app, method="GET", headers=preflight(SHOP, "PUT"))).text == "served"
    assert (await request(layer(), method="OPTIONS", headers=preflight(SHOP, "PUT"))).text == "served"
    assert (await request(layer(), headers={"origin": SHOP})).text == "served"


async def test_a_public_api_allows_every_origin() -> None:
    """The wildcard is sent as such."""
    headers = (await request(layer(cors=CORS(origins=("*",))), headers={"origin": SHOP})).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers.getlist("vary") == ["Accept"]


def test_a_wildcard_with_credentials_is_refused() -> None:
    """Every site could act as the signed-in user."""
    with pytest.raises(ValueError, match="credentials"):
        CORS(origins=("*",), credentials=True)


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/", "https://a@shop.example", "https://x:99999", "https://:8080", "null"]
)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    """An origin that can never match is a mistake, told at start."""
    with pytest.raises(ValueError, match="not an origin"):
        CORS(origins=(origin,))
    with pytest.raises(ValueError, match="CORS"):
        CORS(origins=("*", SHOP))


@pytest.mark.parametrize(
    "policy",
    [
        {"hosts": ("https://a.example",)},
        {"hosts": ("a.example:80",)},
        {"hosts": ("a.*.example",)},
        {"hosts": ("UPPER.example",)},
        {"max_body_size": -1},
        {"max_header_size": 1023},
        {"hsts_max_age": -1},
        {"headers": {"X-A": "a\r\nSet-Cookie: b"}},
        {"headers": {"X A": "a"}},
    ],
)
def test_a_malformed_policy_is_refused(policy: dict[str, Any]) -> None:
    """Told where the policy is made."""
    with pytest.raises(ValueError, match=next(iter(policy))):
        SecurityPolicy(**policy)


async def test_a_policy_at_its_limits_is_taken() -> None:
    """Nothing may be sent, and TLS need not be remembered, where that is what the policy says."""
    app = layer(max_body_size=0, max_header_size=1024, hsts_max_age=0)
    assert (await post(app, b"")).status == 200
    assert (await post(app, b"x")).status == 413


async def test_without_a_limit_any_body_is_taken() -> None:
    """With a length and without one, which is counted nowhere then."""

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(str(len(await Request(scope, receive).body())))(scope, receive, send)

    app = layer(read, max_body_size=None)
    assert (await post(app, b"x" * 2_000_000)).text == "2000000"
    assert (await request(app, method="POST", body=[b"x" * 1_000_000] * 2)).text == "2000000"


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"host": "api.example.com"}, True),
        ({"host": "api.example.com", "origin": "https://api.example.com"}, True),
        ({"host": "api.example.com", "origin": SHOP}, True),
        ({"host": "api.example.com", "origin": "https://evil.example"}, False),
        ({"host": "api.example.com", "origin": "null"}, False),
        ({"host": "evil.example"}, False),
    ],
)
async def test_websockets_are_for_known_hosts_and_origins(headers: dict[str, str], accepted: bool) -> None:
    """A browser does not check the origin of a WebSocket; the layer does."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    guarded = layer(app, hosts=("api.example.com",), cors=CORS(origins=(SHOP,)))
    async with websocket(guarded, headers=headers) as connection:
        answer = await connection.next()
    assert answer == ({"type": "websocket.accept"} if accepted else {"type": "websocket.close", "code": 1008})
