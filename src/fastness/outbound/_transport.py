"""The door to httpx2 and httpcore2: the client of an upstream, and connections that go where a guard allows only.

Everything here is imported when an upstream opens.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2

from fastness.outbound.guard import ForbiddenURLError, Guard

# Many servers close a connection that was idle for five seconds. Ours goes first, or a request would meet the closing one.
_KEEP_ALIVE = 4.0
_MAX_IDLE = 20
# A name with hundreds of addresses must not keep us trying.
_MAX_ADDRESSES = 4
_SHORT = 16_384

COMPRESSED = "fastness.compressed"
"""Extension of a response from a guarded upstream whose body is compressed, and is given as it is."""


def make_client(
    *,
    base_url: str,
    headers: Any,
    connections: int,
    tls: ssl.SSLContext | None,
    transport: httpx2.AsyncBaseTransport | None,
    guard: Guard | None,
    max_bytes: int,
) -> httpx2.AsyncClient:
    """A client without surprises: no proxy or credentials of the environment, no memory for cookies, no redirects."""
    if transport is None:
        context = tls or ssl.create_default_context()
        if guard is not None:
            transport = GuardedTransport(guard, context, connections=connections, max_bytes=max_bytes)
        else:
            limits = httpx2.Limits(
                max_connections=connections,
                max_keepalive_connections=min(_MAX_IDLE, connections),
                keepalive_expiry=_KEEP_ALIVE,
            )
            transport = httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
    client = httpx2.AsyncClient(
        base_url=base_url,
        headers=headers,
        transport=transport,
        trust_env=False,
        timeout=None,
        follow_redirects=False,
        # The client serves requests of many users, and a cookie of one must not go out with those of another.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
    if guard is not None:
        client.headers["accept-encoding"] = "identity"
    return client


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests where a guard allows, over connections that it has checked, and reads no more than `max_bytes`.

    On httpcore2's pool rather than httpx2's transport, which takes no network backend: putting ours into its private parts
    would one day leave the guard out without anybody noticing.
    """

    def __init__(self, guard: Guard, context: ssl.SSLContext, *, connections: int, max_bytes: int) -> None:
        self._guard = guard
        self._max_bytes = max_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=min(_MAX_IDLE, connections),
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=GuardedBackend(guard),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            ForbiddenURLError: it may not go there.
        """
        self._guard.check(request.url)
        url = request.url
        with _translated():
            answer = await self._pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        headers = httpx2.Headers(answer.headers)
        extensions = dict(answer.extensions)
        # Not asked for. Nothing is decompressed here, in no version of httpx2: a small answer must not become a large one.
        if headers.pop("content-encoding", "identity").strip().lower() != "identity":
            extensions[COMPRESSED] = True
        stream = _BoundedStream(answer.stream, self._max_bytes)
        return httpx2.Response(answer.status, headers=headers, stream=stream, extensions=extensions)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that a guard allows, and to no other."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve a host and connect to one of its addresses that are allowed.

        Raises:
            ForbiddenURLError: none is.
        """
        try:
            async with asyncio.timeout(timeout):
                try:
                    addresses = await self._guard.addresses(host, port)
                except ForbiddenURLError:
                    raise
                except (OSError, ValueError) as error:  # no such name, or one that cannot be written in DNS
                    raise httpcore2.ConnectError("the name does not resolve") from error
                failure: Exception | None = None
                for address in addresses[:_MAX_ADDRESSES]:
                    try:
                        return await self._backend.connect_tcp(
                            str(address), port, local_address=local_address, socket_options=socket_options
                        )
                    except httpcore2.ConnectError as error:
                        failure = error
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        raise failure or httpcore2.ConnectError("the name has no address")

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the signature of httpcore2
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no URL leads here."""
        raise ForbiddenURLError("sockets of this machine may not be called")


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of a response, as far as it is not too long."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream: AsyncIterable[bytes] = stream
        self._left = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._stream:
                self._left -= len(part)
                if self._left < 0:
                    raise TooLargeError
                yield part

    async def aclose(self) -> None:
        close: Callable[[], Any] | None = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


class TooLargeError(Exception):
    """A response has a longer body than is read."""


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of httpcore2 as those of httpx2, which have the same names."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        kind: type[Exception] = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise kind(str(error)) from error
    except (httpcore2.ProxyError, httpcore2.UnsupportedProtocol) as error:
        raise httpx2.TransportError(str(error)) from error


async def drain(response: httpx2.Response) -> None:
    """Read what is left of an answer that nobody wants, if it is short: the connection can be used again then."""
    if 0 < _length(response) <= _SHORT:
        async for _ in response.aiter_raw():
            pass


async def read(response: httpx2.Response, most: int) -> httpx2.Response:
    """The response with its body, decompressed.

    Raises:
        TooLargeError: that would be more than `most` bytes, or the body is compressed where that is not allowed.
    """
    if response.extensions.get(COMPRESSED) or _length(response) > most:
        raise TooLargeError
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most:
            raise TooLargeError
    # What is left of them would say something else than the body that is given.
    left_out = {b"content-encoding", b"content-length", b"transfer-encoding"}
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in left_out]
    whole = httpx2.Response(
        response.status_code,
        headers=headers,
        content=bytes(body),
        request=response.request,
        extensions=response.extensions,
        history=response.history,
    )
    whole.default_encoding = response.default_encoding
    return whole


def _length(response: httpx2.Response) -> int:
    length = response.headers.get("content-length", "")
    # An answer to HEAD tells how long the body would be.
    return int(length) if length.isdigit() and len(length) < 19 and response.request.method != "HEAD" else 0
