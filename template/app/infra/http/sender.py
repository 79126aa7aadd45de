"""Sends deliveries: bounded in time and size, without redirects, past a guard against internal addresses."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import perf_counter
from time import time as wall_clock

import httpcore2
import httpx2
from fastness.telemetry import instrument

from app.domain.deliveries import AttemptError, Outcome
from app.infra.http.guard import ForbiddenAddress, GuardedBackend, Network

_EXCERPT_BYTES = 1024
_CONNECTIONS = 100


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport on connections that `GuardedBackend` opens. No proxy: it would connect where we cannot look."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        context = ssl.create_default_context()
        super().__init__(verify=context, trust_env=False)
        # httpx2 offers no parameter for the backend; tests/unit/test_guard.py fails if this has no effect any more.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS // 5,
            keepalive_expiry=15.0,
            network_backend=GuardedBackend(allowed),
        )


class HTTPSender:
    """`app.domain.ports.Sender` on httpx2, as a resource of the service.

    Args:
        time_limit: seconds for a request as a whole, from resolving the name to the last byte that is read.
        allowed: networks that are not public and may be delivered to all the same.
    """

    name = "sender"

    def __init__(self, *, time_limit: float, allowed: Sequence[Network] = ()) -> None:
        self._time_limit = time_limit
        self._allowed = allowed
        self._client: httpx2.AsyncClient | None = None

    async def open(self) -> None:
        """Make the client."""
        self._client = client = httpx2.AsyncClient(
            transport=GuardedTransport(self._allowed),
            timeout=httpx2.Timeout(self._time_limit),
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": "Relay/1", "accept": "*/*", "accept-encoding": "identity"},
        )
        instrument.httpx2(client)

    async def check(self) -> None:
        """Always ready: whether a receiver can be reached is no property of the service."""

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST `body` to `url`. Whatever the other side does is an outcome, never an exception."""
        if self._client is None:
            raise RuntimeError("the sender is not open: use it within the lifespan")
        started = perf_counter()
        try:
            async with (
                asyncio.timeout(self._time_limit),
                self._client.stream(
                    "POST", url, content=body, headers={"content-type": "application/json", **headers}
                ) as response,
            ):
                status = response.status_code
                retry_after = _seconds(response.headers.get("retry-after"))
                excerpt = await _excerpt(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, ForbiddenAddress, TimeoutError) as error:
            return Outcome(duration=perf_counter() - started, error=_kind(error))
        return Outcome(
            duration=perf_counter() - started,
            status_code=status,
            error=None if 200 <= status < 300 else AttemptError.STATUS,
            excerpt=excerpt,
            retry_after=retry_after,
        )


def _kind(error: Exception) -> AttemptError:
    """What to tell the tenant about a failed request."""
    if isinstance(error, ForbiddenAddress):
        return AttemptError.FORBIDDEN_ADDRESS
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return AttemptError.TIMEOUT
    if isinstance(error, httpx2.NetworkError):
        return AttemptError.UNREACHABLE
    return AttemptError.PROTOCOL


async def _excerpt(response: httpx2.Response) -> str:
    """The beginning of the body as text; the rest is not read."""
    raw = b""
    async for part in response.aiter_raw():
        raw += part[: _EXCERPT_BYTES - len(raw)]
        if len(raw) >= _EXCERPT_BYTES:
            break
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _seconds(retry_after: str | None) -> float | None:
    """What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_clock())
    except (ValueError, OverflowError):
        return None
