"""The current request: its id, W3C trace context, client address behind trusted proxies, and remaining time.

It decides nothing: telemetry, deadlines, rate limits and audit events read it.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

from fastness._asgi import ASGIApp, Exchange, HeaderLines, Layer, Receive, Scope, Send, client_address

_current: ContextVar[RequestContext | None] = ContextVar("fastness.context", default=None)

# https://www.w3.org/TR/trace-context/#traceparent-header; a version above 00 may carry further fields.
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?=-|$)")
# What may be echoed into a header and written to a log as it is.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


class RequestContext:
    """Facts about the request that is being handled.

    Attributes:
        request_id: the client's `X-Request-ID` when it is well formed, else the trace id.
        trace_id: W3C trace id, 32 lower-case hexadecimal digits.
        span_id: the caller's span id from `traceparent`, or None at the root of a trace.
        sampled: the caller's sampling decision, or None at the root of a trace.
        client: address of the client, behind the declared proxies; None where the server has none (a Unix socket).
        deadline: `time.monotonic()` seconds at which an answer is due, or None.
        principal: who is calling, once authentication has told.
        tenant: for whom, once authentication has told.
    """

    __slots__ = ("client", "deadline", "principal", "request_id", "sampled", "span_id", "tenant", "trace_id")

    def __init__(
        self,
        request_id: str,
        trace_id: str,
        span_id: str | None = None,
        sampled: bool | None = None,
        client: str | None = None,
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.client = client
        self.deadline: float | None = None
        self.principal: str | None = None
        self.tenant: str | None = None

    def remaining(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed, None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())


def current() -> RequestContext | None:
    """The context of the request that is being handled, or None outside of one."""
    return _current.get()


@contextmanager
def within(request: RequestContext | None) -> Iterator[None]:
    """Make `request` the current one in a block: for work that goes on in its name without it, such as a job, or in none."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


class ContextMiddleware(Layer):
    """Gives every request an id, a trace and a client address, and echoes the id in `X-Request-ID`.

    Put it outermost: what runs outside of it has no request id. Servers have a say before it: uvicorn believes the headers of
    whoever calls from 127.0.0.1, unless it is started with `--no-proxy-headers`.

    Args:
        trusted_proxies: addresses or networks (`"10.0.0.0/8"`) whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
            The chain is read from the right, and the first address that is not such a proxy is the client.

    Raises:
        ValueError: a trusted proxy is not an address or a network.
    """

    def __init__(self, app: ASGIApp, *, trusted_proxies: Sequence[str] = ()) -> None:
        super().__init__(app)
        self._proxies = _Proxies(trusted_proxies) if trusted_proxies else None

    def enter(self, exchange: Exchange) -> None:
        exchange.context = context = self._context(exchange.scope, exchange.headers)
        exchange.context_token = _current.set(context)

    def start(self, exchange: Exchange, headers: HeaderLines) -> None:
        if exchange.context is not None:
            headers.append((b"x-request-id", exchange.context.request_id.encode("ascii")))

    def leave(self, exchange: Exchange) -> None:
        if exchange.context_token is not None:
            _current.reset(exchange.context_token)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _current.set(self._context(scope, dict(reversed(scope["headers"]))))
        try:
            await self.app(scope, receive, send)
        finally:
            _current.reset(token)

    def _context(self, scope: Scope, headers: dict[bytes, bytes]) -> RequestContext:
        if self._proxies is not None:
            self._proxies.apply(scope)
        traceparent = headers.get(b"traceparent")
        parsed = _TRACEPARENT.match(traceparent) if traceparent is not None else None
        if parsed is None or (parsed[1] == b"00" and parsed.end() != len(parsed.string)):
            trace_id, span_id, sampled = (random.getrandbits(128) or 1).to_bytes(16).hex(), None, None
        else:
            trace_id, span_id, sampled = parsed[2].decode(), parsed[3].decode(), bool(int(parsed[4], 16) & 1)
        given = headers.get(b"x-request-id")
        request_id = given.decode("ascii") if given is not None and _REQUEST_ID.fullmatch(given) else trace_id
        return RequestContext(request_id, trace_id, span_id, sampled, client_address(scope))


class _Proxies:
    """Reads `X-Forwarded-*` as far as declared proxies wrote it."""

    def __init__(self, trusted: Sequence[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(proxy, strict=False) for proxy in trusted]
        except ValueError as error:
            raise ValueError(f"trusted_proxies: {error}; give addresses or networks such as '10.0.0.0/8'") from error

    def apply(self, scope: Scope) -> None:
        """Replace `scope["client"]` and `scope["scheme"]` by what the trusted proxies forwarded."""
        peer = client_address(scope)
        address = _address(peer) if peer else None
        if address is None or not self._trusts(address):
            return
        forwarded: list[str] = []
        scheme = None
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                forwarded += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto":
                scheme = value.decode("latin-1").rpartition(",")[2].strip().lower()
        for hop in reversed(forwarded):
            # What stands left of an unreadable hop was not vouched for by anyone: stay with the last good one.
            if (parsed := _address(hop.strip())) is None:
                break
            address = parsed
            if not self._trusts(address):
                break
        scope["client"] = (str(address), 0)
        if scheme in ("http", "https"):
            secure = scheme == "https"
            scope["scheme"] = ("wss" if secure else "ws") if scope["type"] == "websocket" else scheme

    def _trusts(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as proxies write it: plain, `a.b.c.d:port` or `[v6]:port`; a mapped IPv4 address as IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
