"""The layer that enforces a `SecurityPolicy` on every request and response."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from fastness._asgi import PROBES, ASGIApp, Exchange, HeaderLines, Layer, Message, Receive, Scope, Send, path_below_root
from fastness.problems import Problem, ProblemType, respond
from fastness.security.policy import CORS, SecurityPolicy

UNKNOWN_HOST = ProblemType(
    "urn:problem-type:fastness:unknown-host", "This host is not served here", 421, "The Host header names another service."
)
BODY_TOO_LARGE = ProblemType(
    "urn:problem-type:fastness:body-too-large", "The request body is too large", 413, "`limit` is the size in bytes."
)
HEADERS_TOO_LARGE = ProblemType(
    "urn:problem-type:fastness:headers-too-large",
    "The request headers are too large",
    431,
    "Send fewer or shorter headers; more than 100 lines are never taken.",
)
CORS_REFUSED = ProblemType(
    "urn:problem-type:fastness:cors-refused", "Not allowed from this origin", 400, "The CORS preflight asks for too much."
)

# An early refusal reads at most this much of the unwanted body, for so long, before it closes the connection: closing with
# unread data resets the connection, and the client would lose the answer.
_DRAIN_BYTES = 4_194_304
_DRAIN_SECONDS = 1.0
_MAX_HEADER_LINES = 100


class BodyTooLarge(Problem, HTTPException):  # type: ignore[misc]  # FastAPI's `headers` may be None
    """The body passes the limit. An HTTPException too, since FastAPI turns anything else that reading one raises into a 400."""

    def __init__(self, limit: int) -> None:
        super().__init__(BODY_TOO_LARGE, f"The limit is {limit} bytes.", limit=limit, headers={"Connection": "close"})
        self.status_code = BODY_TOO_LARGE.status


class SecurityMiddleware(Layer):
    """Refuses unknown hosts and oversize requests, answers CORS, and adds the security headers.

    Put it inside context and telemetry, so that refusals are counted and carry a request id. Probes are served under any host
    name, because a platform calls them by address.
    """

    def __init__(self, app: ASGIApp, *, policy: SecurityPolicy) -> None:
        super().__init__(app)
        self._any_host = "*" in policy.hosts
        self._hosts = frozenset(host.encode() for host in policy.hosts)
        self._suffixes = tuple(suffix.encode() for suffix in policy.host_suffixes())
        self._cors = _CORS(policy.cors) if policy.cors else None
        self._max_body = policy.max_body_size
        self._max_headers = policy.max_header_size
        self._documentation = frozenset(policy.documentation)
        self._lines = {
            (secure, documentation): _Lines(
                policy.response_headers(secure=secure, documentation=documentation), self._cors.vary if self._cors else []
            )
            for secure in (False, True)
            for documentation in (False, True)
        }

    def enter(self, exchange: Exchange) -> ASGIApp | None:
        headers = exchange.headers
        if not self._any_host and not self._is_known(headers.get(b"host", b"")) and exchange.scope["path"] not in PROBES:
            return _refuse(exchange, Problem(UNKNOWN_HOST))
        lines = exchange.scope["headers"]
        # Only of a request that repeats some header are there values that `headers` does not have.
        repeats = len(lines) != len(headers)
        values = [value for _, value in lines] if repeats else headers.values()
        if len(lines) > _MAX_HEADER_LINES or sum(map(len, values)) > self._max_headers:
            return _refuse(exchange, Problem(HEADERS_TOO_LARGE, headers={"Connection": "close"}))
        # RFC 9112, section 3.2.
        if repeats and [name for name, _ in lines].count(b"host") > 1:
            return _refuse(exchange, Problem(400, "There is more than one Host header"))
        if b"content-length" in headers and (refusal := self._check_length(exchange)) is not None:
            return refusal
        if self._cors is not None and b"origin" in headers and exchange.scope["method"] == "OPTIONS":
            return self._cors.preflight(exchange)
        return None

    def _check_length(self, exchange: Exchange) -> ASGIApp | None:
        length = exchange.headers[b"content-length"]
        # More digits than 2 ** 63 has are no length either, and Python refuses to read very many.
        if not length.isdigit() or len(length) > 19:
            return _refuse(exchange, Problem(400, "Content-Length is not a number"))
        if self._max_body is None or int(length) <= self._max_body:
            return None
        limit = _route_limit(exchange.scope, self._max_body)
        if int(length) <= limit:
            return None
        return _drained(_refuse(exchange, BodyTooLarge(limit)), has_expect=b"expect" in exchange.headers)

    def received(self, exchange: Exchange, message: Message) -> None:
        # With a Content-Length the server cuts the body there; without one (chunked) only counting tells.
        # Where there are both, the length means nothing (RFC 9112, section 6.3).
        if b"content-length" in exchange.headers and b"transfer-encoding" not in exchange.headers:
            return
        exchange.received += len(message.get("body", b""))
        if self._max_body is not None and exchange.received > self._max_body:
            limit = _route_limit(exchange.scope, self._max_body)
            if exchange.received > limit:
                raise BodyTooLarge(limit)

    def start(self, exchange: Exchange, headers: HeaderLines) -> None:
        scope = exchange.scope
        self._lines[scope["scheme"] == "https", scope["path"] in self._documentation].add_to(headers)
        if self._cors is not None and (origin := exchange.headers.get(b"origin")) is not None:
            headers += self._cors.lines(origin)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(reversed(scope["headers"]))
        host = headers.get(b"host", b"")
        origin = headers.get(b"origin")
        # Browsers do not apply CORS to WebSockets: the server has to compare the origin (RFC 6455, 10.2).
        foreign = origin is not None and origin.partition(b"://")[2] != host
        if (not self._any_host and not self._is_known(host)) or (
            foreign and not (self._cors and origin and self._cors.lines(origin))
        ):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    def _is_known(self, host: bytes) -> bool:
        name = host if host in self._hosts else _host_name(host)
        return name in self._hosts or name.endswith(self._suffixes)


class _Lines:
    """Response header lines to add where the app has not set them, and `vary` where a cache may keep the response."""

    __slots__ = ("_all", "_lines", "_names", "_vary")

    def __init__(self, lines: HeaderLines, vary: HeaderLines) -> None:
        self._lines = lines
        self._vary = vary
        self._names = frozenset(name for name, _ in lines) | {b"cache-control"}
        kept = not any(name == b"cache-control" and b"no-store" in value for name, value in lines)
        self._all = lines + (vary if kept else [])

    def add_to(self, headers: HeaderLines) -> None:
        for name, _ in headers:
            if name in self._names:
                present = {name for name, _ in headers} & self._names
                headers += [line for line in self._lines if line[0] not in present]
                headers += self._vary
                return
        headers += self._all


class _CORS:
    """Answers for other origins; the preflight rules are Starlette's."""

    def __init__(self, cors: CORS) -> None:
        self._preflight = CORSMiddleware(
            _unused,
            allow_origins=cors.origins,
            allow_methods=cors.methods,
            allow_headers=cors.headers,
            allow_credentials=cors.credentials,
            expose_headers=cors.expose,
            max_age=cors.max_age,
        )
        shared: HeaderLines = []
        if cors.credentials:
            shared.append((b"access-control-allow-credentials", b"true"))
        if cors.expose:
            shared.append((b"access-control-expose-headers", ", ".join(cors.expose).encode()))
        self._any = [(b"access-control-allow-origin", b"*"), *shared] if "*" in cors.origins else None
        self._lines = {origin.encode(): [(b"access-control-allow-origin", origin.encode()), *shared] for origin in cors.origins}
        # A cache must not give one origin's answer to another, whether or not this request came from a browser. What no cache
        # may keep goes without: a server validates each line of each response.
        self.vary: HeaderLines = [] if self._any else [(b"vary", b"Origin")]

    def lines(self, origin: bytes) -> HeaderLines:
        return self._any or self._lines.get(origin) or []

    def preflight(self, exchange: Exchange) -> ASGIApp | None:
        if b"access-control-request-method" not in exchange.headers:
            return None
        response = self._preflight.preflight_response(Headers(scope=exchange.scope))
        if response.status_code == 200:
            # The layer adds Vary and the origin's lines to every response; these are the preflight's own.
            kept = {
                name: value
                for name, value in response.headers.items()
                if name.startswith("access-control-") and name not in {"access-control-allow-origin", _CREDENTIALS}
            }
            return Response(status_code=204, headers=kept)
        return _refuse(exchange, Problem(CORS_REFUSED, bytes(response.body).decode()))


_CREDENTIALS = "access-control-allow-credentials"


async def _unused(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the app of a middleware that is only asked for its rules."""


def _host_name(host: bytes) -> bytes:
    """The name in a Host header, lower-case and without port."""
    end = host.rfind(b"]") + 1 if host.startswith(b"[") else host.find(b":")
    return (host if end < 1 else host[:end]).lower()


def _refuse(exchange: Exchange, problem: Problem) -> Response:
    return respond(problem, exchange.headers.get(b"accept"))


def _drained(response: ASGIApp, *, has_expect: bool) -> ASGIApp:
    """`response`, sent after reading a bounded part of the body that nobody wants."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        # With `Expect: 100-continue` the client waits for leave to send the body, and reading would give it.
        if not has_expect:
            try:
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await _drain(receive)
            except TimeoutError:
                pass
        await response(scope, receive, send)

    return answer


async def _drain(receive: Receive) -> None:
    left = _DRAIN_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _route_limit(scope: Scope, default: int) -> int:
    """The body limit where the request goes: the matching route's own `max_body_size`, else `default`.

    Only an oversize request pays for the search.
    """
    app = scope.get("app")
    for route in _matching(getattr(app, "routes", ()), scope):
        limit = getattr(route, "max_body_size", None)
        return default if limit is None else int(limit)
    return default


def _matching(routes: Any, scope: Scope) -> Iterator[Any]:
    path = path_below_root(scope)
    for route in iter_route_contexts(routes):
        regex = getattr(route, "path_regex", None)
        if regex is not None and regex.match(path) and scope["method"] in (route.methods or ()):
            yield route
