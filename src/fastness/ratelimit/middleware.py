"""A rate limit as a layer: for everything that one client sends to this service."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from fastness._asgi import PROBES, ASGIApp, Exchange, Layer, Receive, Scope, Send, client_address
from fastness.problems import Problem, respond
from fastness.ratelimit.limit import Limit, Verdict
from fastness.ratelimit.limiter import Limiter, OnStoreFailure, client_key
from fastness.ratelimit.store import MemoryStore, Store


class RateLimitMiddleware(Layer):
    """Refuses with 429 what one client sends over a limit, before anything is spent on it. WebSocket connections count too.

    Behind proxies it needs `ContextMiddleware(trusted_proxies=...)` outside of it, else all clients look like one.

    Args:
        limit: a `Limit`, or text such as `100/second` or `1000/minute, burst 100`.
        name: tells this limit apart in headers, metrics and keys; the limit as text when None.
        store: where the state is kept; None is the memory of the process, which protects the process at no cost.
        on_store_failure: `"open"` lets requests through while the store is down, `"closed"` refuses them with 503.
        exempt: paths that are not counted, beyond the probes.
        headers: send `RateLimit` and `RateLimit-Policy` with every response, not only with refusals.

    Raises:
        ValueError: an argument is not valid.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: Limit | str,
        name: str | None = None,
        store: Store | None = None,
        on_store_failure: OnStoreFailure = "open",
        exempt: Iterable[str] = ("/metrics",),
        headers: bool = False,
    ) -> None:
        super().__init__(app)
        self._limiter = Limiter(limit, name=name, on_store_failure=on_store_failure)
        self._limit = self._limiter.limit
        self._prefix = self._limiter.prefix + "|"
        self._store: Store = MemoryStore() if store is None else store
        self._memory = self._store if isinstance(self._store, MemoryStore) else None
        self._exempt = PROBES | frozenset(exempt)
        self._headers = headers

    def enter(self, exchange: Exchange) -> ASGIApp | Awaitable[ASGIApp | None] | None:
        scope = exchange.scope
        if scope["path"] in self._exempt:
            return None
        client = client_address(scope)
        if self._memory is None:
            return self._ask(exchange, client)
        key = self._prefix + client_key(client)
        allowed, debt = self._memory.take(key, self._limit)
        if not allowed:
            refusal = self._limiter.refuse(key, client, Verdict(self._limit, allowed, debt))
            return respond(refusal, exchange.headers.get(b"accept"))
        if self._headers:
            self._announce(exchange, Verdict(self._limit, allowed, debt))
        return None

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in self._exempt:
            client = client_address(scope)
            try:
                await self._limiter.ask(self._store, self._prefix + client_key(client), client)
            except Problem as problem:
                await receive()
                if "websocket.http.response" in scope.get("extensions", {}):
                    await respond(problem)(scope, receive, send)
                else:
                    await send({"type": "websocket.close", "code": 1013})
                return
        await self.app(scope, receive, send)

    async def _ask(self, exchange: Exchange, client: str | None) -> ASGIApp | None:
        try:
            verdict = await self._limiter.ask(self._store, self._prefix + client_key(client), client)
        except Problem as problem:
            return respond(problem, exchange.headers.get(b"accept"))
        if self._headers and verdict is not None:
            self._announce(exchange, verdict)
        return None

    def _announce(self, exchange: Exchange, verdict: Verdict) -> None:
        exchange.owed += [(name.lower().encode(), value.encode()) for name, value in self._limiter.headers(verdict).items()]
