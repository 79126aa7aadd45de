"""Rate limits in an application: per principal, client or key, with headers, problems, OpenAPI and WebSockets."""

import pytest
from fastapi import APIRouter, Depends, FastAPI, Response, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.middleware import Middleware

from fastness import openapi, problems
from fastness.context import ContextMiddleware, current
from fastness.problems import ProblemMiddleware
from fastness.ratelimit import MemoryStore, RateLimit, RateLimitMiddleware, RedisStore, StoreError
from fastness.testing import ManualClock, asgi, client


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(clock):
    return MemoryStore(clock=clock)


class DownStore:
    async def hit(self, key, limit):
        raise StoreError("down")


def make(*middleware, **options):
    app = FastAPI(
        middleware=[Middleware(ContextMiddleware), *middleware, Middleware(ProblemMiddleware)],
        exception_handlers=problems.handlers(),
        **options,
    )
    app.openapi = openapi.document(app)
    return app


def limited(app, path, *limits, endpoint=None):
    async def answer():
        return {"path": path}

    app.get(path, dependencies=[Depends(limit) for limit in limits])(endpoint or answer)


def get(app, path="/", address="192.0.2.1", **options):
    return asgi.request(app, path, client=(address, 1), **options)


async def login(principal: str | None = None, tenant: str | None = None):
    """Stands for authentication, which writes to the context."""
    context = current()
    context.principal, context.tenant = principal, tenant


async def test_success_and_refusal_tell_what_is_left(store, clock):
    """Each response says what is left; past it comes a 429 problem with the time to wait, after which it is served again."""
    app = make()
    limited(app, "/", RateLimit("2/minute", store=store))
    first, second, refused = [await get(app) for _ in range(3)]
    assert (first.status, first.headers["RateLimit"]) == (200, '"2/minute";r=1;t=30')
    assert first.headers["RateLimit-Policy"] == '"2/minute";q=2;w=60'
    assert second.headers["RateLimit"] == '"2/minute";r=0;t=30'
    assert refused.status == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.headers["Retry-After"], refused.headers["RateLimit"]) == ("30", '"2/minute";r=0;t=30')
    document = refused.json()
    assert document["type"] == "urn:problem-type:fastness:rate-limited"
    assert (document["violated-policies"], document["detail"]) == (["2/minute"], "At most 2/minute.")
    assert document["request_id"] == refused.headers["x-request-id"]
    assert (await get(app, address="192.0.2.2")).status == 200
    clock.advance(30)
    assert (await get(app)).status == 200


async def test_by_principal_else_by_client(store):
    """Requests of one principal count together from anywhere, those of nobody by client, and tenants are apart."""
    app = make()
    limited(app, "/", login, RateLimit("1/minute", store=store))
    alice = {"query": "principal=alice&tenant=a"}
    assert (await get(app, **alice)).status == 200
    assert (await get(app, address="192.0.2.2", **alice)).status == 429
    assert (await get(app, query="principal=alice&tenant=b")).status == 200
    assert (await get(app, query="principal=bob&tenant=a")).status == 200
    assert (await get(app)).status == 200
    assert (await get(app)).status == 429


async def test_by_client_whoever_is_authenticated(store):
    """`by="client"` counts by client even where there is a principal."""
    app = make()
    limited(app, "/", login, RateLimit("1/minute", by="client", store=store))
    assert (await get(app, query="principal=alice")).status == 200
    assert (await get(app, query="principal=bob")).status == 429


async def test_by_principal_where_there_is_none_is_an_error(store):
    """`by="principal"` before authentication is a fault of the application, and fails closed."""
    app = make()
    limited(app, "/", RateLimit("1/minute", by="principal", store=store))
    assert (await get(app)).status == 500


async def test_by_a_key_of_the_applications_own(store):
    """A function of the request says what counts together; where it gives None, it is the client."""
    app = make()
    limited(app, "/", RateLimit("1/minute", by=lambda request: request.query_params.get("room"), store=store))
    assert [(await get(app, query=query)).status for query in ("room=1", "room=2", "room=1", "", "")] == [
        200,
        200,
        429,
        200,
        429,
    ]


async def test_without_the_context_layer_the_peer_is_the_client(store):
    """The dependency works alone: without any layer, and without a client at all."""
    app = FastAPI(exception_handlers=problems.handlers())
    limited(app, "/", RateLimit("1/minute", store=store))
    assert [(await get(app, address=f"192.0.2.{last}")).status for last in (1, 2, 1)] == [200, 200, 429]
    assert [(await asgi.request(app, client=None)).status for _ in range(2)] == [200, 429]


async def test_each_endpoint_counts_by_itself_unless_named(store):
    """Without a name each endpoint has its own quota; a name shares it. An included router's endpoints count too."""
    app, router = make(), APIRouter(prefix="/nested")
    for name in (None, "shared"):
        limit = RateLimit("1/minute", name=name, store=store)
        limited(app, f"/{name}/a", limit)
        limited(router, f"/{name}/b", limit)
    app.include_router(router, prefix="/v1")
    paths = ["/None/a", "/v1/nested/None/b", "/shared/a", "/v1/nested/shared/b", "/v1/nested/None/b"]
    assert [(await get(app, path)).status for path in paths] == [200, 200, 200, 429, 429]


async def test_an_endpoint_at_two_places_counts_at_each_unless_named(store):
    """Included under two prefixes it is two operations, with a quota each; so are endpoints that one function makes."""

    def resource(name):
        router = APIRouter()

        async def read():
            return {}

        router.get("/{item}", dependencies=[Depends(RateLimit("1/minute", name=name, store=store))])(read)
        return router

    for name, statuses in ((None, [200, 200, 200, 429]), ("items", [200, 429, 429, 429])):
        app, twice = make(), resource(name)
        app.include_router(twice, prefix="/v1/items")
        app.include_router(twice, prefix="/v2/items")
        app.include_router(resource(name), prefix="/v1/orders")
        paths = ["/v1/items/1", "/v2/items/1", "/v1/orders/1", "/v1/items/2"]
        assert [(await get(app, path)).status for path in paths] == statuses


async def test_several_limits_on_one_route(store):
    """Each limit tells its own state, and the one that is used up refuses."""
    app = make()
    limited(app, "/", RateLimit("2/second", store=store), RateLimit("3/hour", store=store))
    served = await get(app)
    assert served.headers.getlist("RateLimit") == ['"2/second";r=1;t=1', '"3/hour";r=2;t=1200']
    assert served.headers.getlist("RateLimit-Policy") == ['"2/second";q=2;w=1', '"3/hour";q=3;w=3600']


async def test_the_store_of_the_lifespan_state_is_used(store):
    """A limit without a store takes `rate_limit_store` from the lifespan state."""
    app = make()
    limited(app, "/", RateLimit("1/minute"))
    state = {"rate_limit_store": store}
    assert [(await get(app, state=state)).status for _ in range(2)] == [200, 429]
    assert store.size == 1
    assert (await get(app)).status == 200, "without one it is the memory of the process"


@pytest.mark.parametrize(("on_store_failure", "status"), [("open", 200), ("closed", 503)])
async def test_a_store_that_is_down(on_store_failure, status):
    """Open serves without headers, closed answers 503 with `Retry-After`; in both forms."""
    app = make()
    limited(app, "/", RateLimit("1/minute", store=DownStore(), on_store_failure=on_store_failure))
    layered = make(
        Middleware(RateLimitMiddleware, limit="1/minute", store=DownStore(), on_store_failure=on_store_failure, headers=True)
    )
    limited(layered, "/")
    for answer in (await get(app), await get(layered)):
        assert answer.status == status
        assert "ratelimit" not in answer.headers
        assert (answer.headers.get("Retry-After") == "1") is (status == 503)


async def test_openapi_shows_the_limit():
    """An operation with a limit documents its 429, a closed one its 503, and the headers."""
    app = make()
    limited(app, "/", RateLimit("2/second"), RateLimit("100/day, burst 10", on_store_failure="closed"))
    limited(app, "/free")
    paths = app.openapi()["paths"]
    responses = paths["/"]["get"]["responses"]
    assert "At most 2/second." in responses["429"]["description"]
    assert "At most 100/day, burst 10." in responses["429"]["description"]
    assert "application/problem+json" in responses["429"]["content"]
    assert set(responses["429"]["headers"]) == {"RateLimit", "RateLimit-Policy", "Retry-After"}
    assert set(responses["200"]["headers"]) == {"RateLimit", "RateLimit-Policy"}
    assert "503" in responses
    assert not {"429", "503"} & set(paths["/free"]["get"]["responses"])


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_the_layer_limits_each_client(kind, request):
    """The layer refuses a client past the limit before the app is called, on either store, and exempts probes."""
    if kind == "memory":
        store = MemoryStore(clock=ManualClock())
        redis = None
    else:
        from redis.asyncio import Redis

        redis = Redis.from_url(request.getfixturevalue("redis_url"))
        store = RedisStore(redis, time_limit=60)
    calls = []

    async def endpoint():
        calls.append(1)
        return {}

    app = make(Middleware(RateLimitMiddleware, limit="2/day", name="api", store=store, exempt=["/metrics"]))
    for path in ("/", "/livez", "/metrics"):
        limited(app, path, endpoint=endpoint)
    answers = [await get(app) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert len(calls) == 2
    assert "ratelimit" not in answers[0].headers
    assert answers[2].headers["RateLimit"] == '"api";r=0;t=43200'
    assert answers[2].headers["RateLimit-Policy"] == '"api";q=2;w=86400'
    assert answers[2].headers["Retry-After"] == "43200"
    assert answers[2].headers["x-request-id"] == answers[2].json()["request_id"]
    assert (await get(app, headers={"accept": "application/json"})).headers["content-type"] == "application/json"
    assert (await get(app, address="192.0.2.2")).status == 200
    assert [(await get(app, path)).status for path in ("/livez", "/metrics")] == [200, 200]
    if redis is not None:
        await redis.aclose()


async def test_ipv6_clients_are_networks():
    """Addresses of one /64 network are one client."""
    app = make(Middleware(RateLimitMiddleware, limit="1/day"))
    limited(app, "/")
    addresses = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    assert [(await get(app, address=address)).status for address in addresses] == [200, 429, 200]


async def test_the_layer_can_tell_what_is_left_with_every_response(store):
    """With `headers=True` every response says what is left, whatever made it."""
    app = make(Middleware(RateLimitMiddleware, limit="9/day", name="all", headers=True, store=store))
    limited(app, "/")
    assert (await get(app)).headers["RateLimit"] == '"all";r=8;t=9600'
    assert (await get(app, "/nowhere")).headers["RateLimit"] == '"all";r=7;t=9600'


async def test_with_the_layer_headers_of_guards_reach_every_response(store):
    """A response that an endpoint builds itself, a stream and an error carry the guard's headers where the layer is there."""
    app = make(Middleware(RateLimitMiddleware, limit="1000/second"))
    limit = RateLimit("9/day", store=store)

    async def plain():
        return PlainTextResponse("x")

    async def stream():
        return StreamingResponse(iter([b"a", b"b"]))

    async def fail():
        raise problems.Problem(409)

    async def crash():
        raise LookupError

    for number, endpoint in enumerate((plain, stream, fail, crash, None)):
        limited(app, f"/{number}", limit, endpoint=endpoint)
    answers = [await get(app, f"/{number}") for number in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 409, 500, 200]
    assert [answer.headers.getlist("RateLimit") for answer in answers] == [['"9/day";r=8;t=9600']] * 5


async def test_websocket_connections_count(store):
    """A connection past the limit is refused: with the problem where the server can send one, else by closing."""
    app = make(Middleware(RateLimitMiddleware, limit="1/day", store=store))

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    async with asgi.websocket(app, "/ws") as connection:
        assert [(await connection.next())["type"] for _ in range(3)] == [
            "websocket.accept",
            "websocket.send",
            "websocket.close",
        ]
    async with asgi.websocket(app, "/ws") as connection:
        assert await connection.next() == {"type": "websocket.close", "code": 1013}
    async with asgi.websocket(app, "/ws", extensions={"websocket.http.response": {}}) as connection:
        assert (await connection.next())["status"] == 429


async def test_a_guard_of_a_websocket_route(store):
    """The dependency guards WebSocket routes too."""
    app = make()

    @app.websocket("/ws", dependencies=[Depends(RateLimit("1/day", store=store))])
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    async with asgi.websocket(app, "/ws") as connection:
        assert (await connection.next())["type"] == "websocket.accept"
    async with asgi.websocket(app, "/ws", extensions={"websocket.http.response": {}}) as connection:
        assert (await connection.next())["status"] == 429


async def test_a_stream_and_a_disconnect_pass(store):
    """The layer changes nothing in a stream, nor in what the app sees of a client that goes away."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    async with asgi.http(RateLimitMiddleware(app, limit="1/day", store=store)) as connection:
        assert (await connection.next())["status"] == 200
        assert (await connection.next())["body"] == b"part"
        connection.disconnect()
        response = await connection.response()
    assert response.error is None
    assert not response.complete


async def test_an_endpoint_that_sets_headers_keeps_them(store):
    """The guard adds its header lines to those of the endpoint."""
    app = make()

    async def endpoint(response: Response):
        response.headers["x-own"] = "1"
        return {}

    limited(app, "/", RateLimit("9/day", store=store), endpoint=endpoint)
    async with client(app) as http:
        answer = await http.get("/")
    assert (answer.headers["x-own"], answer.headers["ratelimit"]) == ("1", '"9/day";r=8;t=9600')
