"""Sends deliveries: bounded in time and size, without redirects, past a guard against internal addresses."""

from collections.abc import Iterable, Mapping
from time import perf_counter

import httpx2
from fastness.outbound import (
    ForbiddenTargetError,
    Guard,
    OutboundError,
    ResponseTooLargeError,
    Retries,
    Upstream,
    UpstreamTimeoutError,
    retry_after_seconds,
)
from fastness.telemetry import instrument

from app.domain.deliveries import AttemptError, Outcome

_EXCERPT_BYTES = 1024


class HTTPSender:
    """`app.domain.ports.Sender` on an upstream of `fastness.outbound`, as a resource of the service.

    Args:
        time_limit: seconds for a request as a whole, from resolving the name to the last byte that is read.
        allowed: networks that are not public and may be delivered to all the same.

    Raises:
        ValueError: one of them is not a network.
    """

    name = "sender"

    def __init__(self, *, time_limit: float, allowed: Iterable[str] = ()) -> None:
        self._receivers = Upstream(
            "receivers",
            guard=Guard(schemes=["http", "https"], ports=None, allow=allowed),
            timeout=time_limit,
            max_wait=time_limit,
            retries=Retries(attempts=1),  # deliveries have a schedule of their own, over hours
            failures=(),  # every answer is an outcome
            headers={"user-agent": "Relay/1", "accept": "*/*"},
            instrument=instrument.httpx2,
        )

    async def open(self) -> None:
        """Make the client."""
        await self._receivers.open()

    async def check(self) -> None:
        """Always ready: whether a receiver can be reached is no property of the service."""

    async def close(self) -> None:
        """Close every connection."""
        await self._receivers.close()

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST `body` to `url`. Whatever the other side does is an outcome, never an exception."""
        started = perf_counter()
        sent = {"content-type": "application/json", **headers}
        try:
            async with self._receivers.stream("POST", url, content=body, headers=sent) as response:
                status = response.status_code
                retry_after = retry_after_seconds(response.headers.get("retry-after"))
                excerpt = await _excerpt(response)
        except OutboundError as error:
            return Outcome(duration=perf_counter() - started, error=_kind(error))
        return Outcome(
            duration=perf_counter() - started,
            status_code=status,
            error=None if 200 <= status < 300 else AttemptError.STATUS,
            excerpt=excerpt,
            retry_after=retry_after,
        )


def _kind(error: OutboundError) -> AttemptError:
    """What to tell the tenant about a failed request."""
    if isinstance(error, ForbiddenTargetError):
        return AttemptError.FORBIDDEN_ADDRESS
    if isinstance(error, UpstreamTimeoutError):
        return AttemptError.TIMEOUT
    if isinstance(error, ResponseTooLargeError) or isinstance(error.__cause__, httpx2.ProtocolError):
        return AttemptError.PROTOCOL
    return AttemptError.UNREACHABLE


async def _excerpt(response: httpx2.Response) -> str:
    """The beginning of the body as text; the rest is not read."""
    raw = b""
    async for part in response.aiter_raw():
        raw += part[: _EXCERPT_BYTES - len(raw)]
        if len(raw) >= _EXCERPT_BYTES:
            break
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
