"""An HTTP client for tests: it runs the application in process, with its lifespan. Needs the `http` extra."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from fastness._asgi import ASGIApp, Receive, Scope, Send
from fastness.testing import asgi

if TYPE_CHECKING:
    import httpx2


@asynccontextmanager
async def client(
    app: ASGIApp,
    *,
    base_url: str = "http://testserver",
    headers: Mapping[str, str] | None = None,
    address: tuple[str, int] = ("127.0.0.1", 50000),
    raise_errors: bool = True,
    time_limit: float = 60.0,
) -> AsyncIterator[httpx2.AsyncClient]:
    """Start `app`, give an `httpx2.AsyncClient` for it, and shut it down. No socket is opened.

    Args:
        base_url: scheme and host of relative URLs; the host must be one that the application's host check allows.
        headers: sent with every request.
        address: the client's address and port, as the application sees it.
        raise_errors: raise what the application raises; False gives the response that a client would get.
        time_limit: seconds after which starting, or shutting down, is taken for stuck; a busy machine takes its time.
    """
    import httpx2

    async with asgi.lifespan(app, time_limit=time_limit) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            # httpx2 knows no lifespan. Like a server, each request gets a shallow copy of its state.
            await app({**scope, "state": dict(state)}, receive, send)

        transport = httpx2.ASGITransport(cast("Any", with_state), raise_app_exceptions=raise_errors, client=address)
        async with httpx2.AsyncClient(transport=transport, base_url=base_url, headers=headers) as made:
            yield made
