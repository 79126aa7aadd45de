"""A rate limit as a dependency: for chosen routes, per principal, client or a key of the application's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from fastapi import Response
from starlette.requests import HTTPConnection

from fastness._asgi import OWED, client_address
from fastness.context import current
from fastness.openapi import add_problem
from fastness.ratelimit.limit import Limit
from fastness.ratelimit.limiter import RATE_LIMITED, UNAVAILABLE, Limiter, OnStoreFailure, client_key
from fastness.ratelimit.store import MemoryStore, Store

_HEADER_DOCS: dict[str, Any] = {
    "RateLimit": {
        "description": "`r`: requests left; `t`: seconds until one more comes back (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The limits of this operation: `q` requests per `w` seconds.",
        "schema": {"type": "string"},
    },
}
_RETRY_AFTER = {"description": "Seconds to wait before the next request.", "schema": {"type": "integer", "minimum": 1}}


class RateLimit:
    """Refuses with 429 what is over a limit: `dependencies=[Depends(RateLimit("10/minute"))]`.

    The state is in `store`, else in the lifespan state's `rate_limit_store`, else in the memory of the process. Responses tell
    what is left; one that an endpoint builds itself, or an error, tells it where any layer of ours is in the app's list.

    Args:
        limit: a `Limit`, or text such as `10/minute`, `5 per 10 seconds`, `100/second, burst 200`.
        by: whose requests count together. None: the principal's, or the client's where nobody is authenticated, so list it
            after authentication. `"client"`: the client's. `"principal"`: the principal's, and an error where there is none.
            A function of the request: those for which it gives the same key; where it gives None, the client's.
        name: limits that share a name share their quota over all endpoints. Without one, each operation of the API counts by
            itself, as OpenAPI shows it: an endpoint that is included under two prefixes has a quota at each, so a limit that
            is to hold for `/v1` and `/v2` together needs a name. An app that is mounted twice counts as one.
        store: where the state is kept.
        on_store_failure: `"open"` lets requests through while the store is down, `"closed"` refuses them with 503.

    Raises:
        ValueError: an argument is not valid.
    """

    def __init__(
        self,
        limit: Limit | str,
        *,
        by: Literal["principal", "client"] | Callable[[HTTPConnection], str | None] | None = None,
        name: str | None = None,
        store: Store | None = None,
        on_store_failure: OnStoreFailure = "open",
    ) -> None:
        if not (by in (None, "principal", "client") or (callable(by) and not inspect.iscoroutinefunction(by))):
            raise ValueError(f"by={by!r} is neither 'principal', 'client' nor a plain function of the request")
        self._limiter = Limiter(limit, name=name, on_store_failure=on_store_failure)
        self._by = by
        self._shared = name is not None
        self._store = store
        self._memory: Store = MemoryStore()

    async def __call__(self, connection: HTTPConnection, response: Response) -> None:
        limiter = self._limiter
        scope = connection.scope
        store = self._store
        if store is None:
            store = scope.get("state", {}).get("rate_limit_store", self._memory)
        key = f"{limiter.prefix}{'' if self._shared else _endpoint(scope)}|{self._who(connection)}"
        verdict = await limiter.ask(store, key, client_address(connection.scope))
        if verdict is None:
            return
        lines = scope.get(OWED)
        for name, value in limiter.headers(verdict).items():
            if lines is None:
                response.headers.append(name, value)
            else:
                lines.append((name.lower().encode(), value.encode()))

    def _who(self, connection: HTTPConnection) -> str:
        by = self._by
        if callable(by):
            key = by(connection)
            if key is not None:
                return f"k:{key}"
        elif by != "client":
            context = current()
            if context is not None and context.principal is not None:
                return f"p:{context.tenant!r}:{context.principal!r}"
            if by == "principal":
                raise RuntimeError(
                    f"rate limit {self._limiter.name!r} counts by principal and there is none: put it behind authentication, "
                    "and ContextMiddleware in the middleware list"
                )
        return client_key(client_address(connection.scope))

    def document_operation(self, operation: dict[str, Any]) -> None:
        """Add the 429 (and the 503 of a closed store) and the headers to an OpenAPI operation."""
        add_problem(operation, RATE_LIMITED)
        if self._limiter.closes:
            add_problem(operation, UNAVAILABLE)
        responses = operation["responses"]
        refused = responses["429"]
        refused["description"] = f"{refused.get('description', '')}\nAt most {self._limiter.limit}.".strip()
        refused.setdefault("headers", {}).setdefault("Retry-After", _RETRY_AFTER)
        for status, answer in responses.items():
            if status == "429" or status.startswith("2"):
                answer["headers"] = {**_HEADER_DOCS, **answer.get("headers", {})}


def _endpoint(scope: Any) -> str:
    # Not the request's path, which is the client's to vary. FastAPI leaves the place of a route that came with an included
    # router here; `scope["route"]` lacks the prefix, and routers that one function makes have endpoints of one name.
    endpoint, place = scope.get("endpoint"), scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return f"{getattr(endpoint, '__module__', '')}.{getattr(endpoint, '__qualname__', '')} {getattr(place, 'path', '')}"
