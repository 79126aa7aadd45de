"""A service that this one calls: the resource with its connections, and what happens to a call from its begin to its end."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import unquote

from fastness.context import current
from fastness.outbound._measures import Measures
from fastness.outbound.errors import (
    ForbiddenTargetError,
    OutboundError,
    ResponseTooLargeError,
    SaturatedError,
    UnavailableError,
    UnreachableError,
    UpstreamTimeoutError,
)
from fastness.outbound.guard import ForbiddenURLError, Guard
from fastness.outbound.retries import Retries, RetryBudget, retry_after_seconds

if TYPE_CHECKING:
    import ssl

    import httpx2

    from fastness.outbound._call import Call

_NOT_NOW = (429, 502, 503, 504)
_BY_STATUS: Mapping[int, type[OutboundError]] = {502: UnreachableError, 504: UpstreamTimeoutError}


class Parts(TypedDict, total=False):
    """Parts of a request, as httpx2 takes them."""

    headers: Mapping[str, str]
    params: Mapping[str, Any]
    json: Any
    content: str | bytes
    data: Mapping[str, Any]


class Upstream:
    """A client for one upstream, as a resource of the lifespan. Every call is bounded in time, number and size.

    A request that may be made twice (its method is idempotent, or it carries `Idempotency-Key`) is made again when the
    connection fails, an attempt takes too long, or the answer is one of `failures`; at most `retries.attempts` times, as far as
    `budget` allows and the call's time suffices for the wait. Other answers are returned, whatever their status.

    Redirects are not followed, cookies not kept, and proxies of the environment not used.

    Args:
        name: names the resource, and the upstream in metrics and errors.
        base_url: scheme and host of the upstream and what all paths begin with; calls give paths and cannot leave it. Without
            one, calls give whole URLs, and `guard` says which.
        timeout: seconds for a call as a whole, attempts, waits and reading included. The deadline of the request that is being
            handled shortens it.
        attempt_timeout: seconds for one attempt; as long as the call by default. A stream's is over when its headers are there.
        max_in_flight: calls at a time, and connections.
        max_wait: seconds that a call waits for its turn when as many are in flight.
        retries: how often and when a call is attempted again.
        budget: bounds retries over all calls.
        failures: statuses that mean "not now": retried, and raised if they stay.
        max_response_bytes: size of the largest answer that `request` reads, decompressed; with a guard, also `stream`.
        headers: sent with every request.
        propagate: send on the request id, the trace and the time left (`X-Request-Timeout-Ms`). By default for `base_url` only:
            they are nobody else's business.
        guard: which URLs may be called; for URLs that users give.
        tls: for a private authority or a client certificate; by default the system's authorities.
        instrument: called with the `httpx2.AsyncClient` once it is made, such as `fastness.telemetry.instrument.httpx2`.
        transport: what sends requests, instead of the network: for tests, or for a proxy.

    Raises:
        ValueError: an argument is not valid.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        attempt_timeout: float | None = None,
        max_in_flight: int = 100,
        max_wait: float = 1.0,
        retries: Retries = Retries(),  # noqa: B008 - a frozen value
        budget: RetryBudget | None = None,
        failures: Collection[int] = _NOT_NOW,
        max_response_bytes: int = 10_485_760,
        headers: Mapping[str, str] | None = None,
        propagate: bool | None = None,
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
        instrument: Callable[[httpx2.AsyncClient], object] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        attempt_timeout = timeout if attempt_timeout is None else attempt_timeout
        for what, seconds in (("timeout", timeout), ("attempt_timeout", attempt_timeout)):
            if not 0 < seconds < math.inf:
                raise ValueError(f"upstream {name!r}: {what}={seconds!r} is not a positive number of seconds")
        if max_in_flight < 1 or max_response_bytes < 1 or not 0 <= max_wait < math.inf:
            raise ValueError(f"upstream {name!r}: max_in_flight and max_response_bytes must be positive, max_wait not negative")
        if (base_url is None) == (guard is None):
            raise ValueError(
                f"upstream {name!r} needs either a base_url, for a service that you know, or a guard, for URLs that users give"
            )
        if guard is not None and transport is not None:
            raise ValueError(f"upstream {name!r}: a transport of your own would connect where the guard cannot look")
        if not all(400 <= status <= 599 for status in failures):
            raise ValueError(f"upstream {name!r}: failures={sorted(failures)} must be error statuses (400 to 599)")
        self.name = name
        self._base_url = "" if base_url is None else base_url.rstrip("/") + "/"
        self._timeout = timeout
        self._attempt_timeout = min(timeout, attempt_timeout)
        self._max_in_flight = max_in_flight
        self._max_wait = max_wait
        self._retries = retries
        self._budget = budget or RetryBudget()
        self._failures = frozenset(failures)
        self._max_bytes = max_response_bytes
        self._headers = dict(headers or {})
        self._propagate = base_url is not None if propagate is None else propagate
        self._guard = guard
        self._tls = tls
        self._instrument = instrument
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None
        self._slots = asyncio.Semaphore(max_in_flight)
        self._measures = Measures(name)

    async def open(self) -> None:
        """Make the client. Nothing is connected to before the first call."""
        if self._client is not None:
            raise RuntimeError(f"upstream {self.name!r} is already open")
        try:
            from fastness.outbound import _call, _transport
        except ModuleNotFoundError as error:
            raise RuntimeError(f"upstream {self.name!r} needs the http extra: pip install 'fastness[http]'") from error
        _call.keep_apart()
        # Waiters of another event loop, as tests have one each, cannot be woken.
        self._slots = asyncio.Semaphore(self._max_in_flight)
        client = _transport.make_client(
            base_url=self._base_url,
            headers=self._headers,
            connections=self._max_in_flight,
            tls=self._tls,
            transport=self._transport,
            guard=self._guard,
            max_bytes=self._max_bytes,
        )
        if self._base_url and (client.base_url.scheme not in ("http", "https") or not client.base_url.host):
            raise ValueError(f"upstream {self.name!r}: base_url must be an absolute http or https URL")
        if self._instrument is not None:
            self._instrument(client)
        self._client = client

    async def check(self) -> None:
        """Always ready: whether an upstream can be reached is no property of this service."""

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def request(
        self,
        method: str,
        url: str = "",
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        **parts: Unpack[Parts],
    ) -> httpx2.Response:
        """Make a call and read the whole answer.

        Args:
            method: HTTP method.
            url: path below `base_url`, or a whole URL where there is a guard.
            timeout: seconds for this call, when that is less than the upstream's.
            parts: `headers`, `params`, and one of `json`, `content` or `data`.

        Raises:
            OutboundError: there is no answer, or one of `failures`.
            ValueError: the URL leads away from `base_url`.
        """
        call = self._call(method, url, timeout, parts)
        async with self._bounded(call):
            async for attempt in call.tries():
                with attempt:
                    async with AsyncExitStack() as held:
                        return await self._attempt(call, held, whole=True)
        raise AssertionError("an attempt gives an answer or raises")  # pragma: no cover

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str = "",
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        **parts: Unpack[Parts],
    ) -> AsyncIterator[httpx2.Response]:
        """Make a call and read the answer as it comes: `async with upstream.stream("GET", "export") as response: ...`.

        Attempts end with the headers of the answer, the call and its time with the block. Arguments and errors are those of
        `request`.
        """
        call = self._call(method, url, timeout, parts)
        async with self._bounded(call), AsyncExitStack() as kept:
            response = None
            async for attempt in call.tries():
                with attempt:
                    async with AsyncExitStack() as held:
                        response = await self._attempt(call, held, whole=False)
                        kept.push_async_exit(held.pop_all())
            if response is not None:
                yield response

    def _call(self, method: str, url: str, timeout: float | None, parts: Parts) -> Call:
        if self._client is None:
            raise RuntimeError(f"upstream {self.name!r} is not open: use it within the lifespan")
        import httpx2

        from fastness.outbound._call import Call

        try:
            request = self._client.build_request(method, url, **parts)
        except httpx2.InvalidURL as error:
            if self._guard is not None:
                raise ForbiddenTargetError(self.name, "the URL is not valid", attempts=0) from error
            raise ValueError(f"upstream {self.name!r}: the path is not valid") from error
        if self._guard is None and not _within(request.url, self._client.base_url):
            # A path that is put together from what users give must not reach another host, or another part of this one.
            raise ValueError(f"upstream {self.name!r}: the path leads out of its base_url")
        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        context = current()
        left = None if context is None else context.remaining()
        call = Call(
            request,
            seconds=seconds if left is None else min(seconds, left),
            retries=self._retries,
            budget=self._budget,
            measures=self._measures,
        )
        if call.remaining() <= 0:
            self._measures.deny("call", "deadline")
            raise UpstreamTimeoutError(self.name, "no time is left for the call", attempts=0)
        self._budget.deposit()
        return call

    @asynccontextmanager
    async def _bounded(self, call: Call) -> AsyncIterator[None]:
        """Bound the call in time, and turn into ours what reading a stream raises."""
        outcome = "error"
        limit = asyncio.timeout_at(call.ends_at)
        try:
            async with limit:
                yield
            outcome = "ok"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:
            known = self._known(call, error, limit)
            if known is None:
                raise
            known._retried = known._transient = False
            outcome = known.outcome
            if known is error:
                raise
            raise known from (call.failure if limit.expired() and call.failure is not None else error)
        finally:
            self._measures.call(outcome, asyncio.get_running_loop().time() - call.begun)

    async def _attempt(self, call: Call, held: AsyncExitStack, *, whole: bool) -> httpx2.Response:
        """Send the request once. What that takes is given back by `held`."""
        client = self._client
        if client is None:
            raise UnreachableError(self.name, "the service is shutting down", attempts=call.attempts)
        await self._turn(call)
        held.callback(self._slots.release)
        self._measures.in_flight.inc()
        held.callback(self._measures.in_flight.dec)
        call.attempts += 1
        seconds = min(self._attempt_timeout, call.remaining())
        if self._propagate:
            call.stamp(seconds)
        outcome = "error"
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                response = await client.send(call.request, stream=True)
                held.push_async_callback(response.aclose)
                outcome = f"{response.status_code // 100}xx"
                await self._judge(call, response)
                return await _transport().read(response, self._max_bytes) if whole else response
        except asyncio.CancelledError:
            outcome = "cancelled" if call.remaining() > 0 else "timeout"
            raise
        except Exception as error:
            known = self._known(call, error, limit)
            if known is None or known is error:
                raise
            outcome = known.outcome
            raise known from error
        finally:
            self._measures.attempt(outcome)

    async def _turn(self, call: Call) -> None:
        """Wait until another request may be in flight."""
        try:
            async with asyncio.timeout(min(self._max_wait, call.remaining())):
                await self._slots.acquire()
        except TimeoutError as error:
            self._measures.deny("call", "saturated")
            reason = f"{self._max_in_flight} requests are in flight"
            raise SaturatedError(self.name, reason, attempts=call.attempts) from error

    async def _judge(self, call: Call, response: httpx2.Response) -> None:
        status = response.status_code
        if status not in self._failures:
            return
        retry_after = retry_after_seconds(response.headers.get("retry-after"))
        await _transport().drain(response)
        kind = _BY_STATUS.get(status, UnavailableError)
        reason = f"it answered {status}"
        raise kind(self.name, reason, attempts=call.attempts, status=status, retry_after=retry_after, transient=True)

    def _known(self, call: Call, error: Exception, limit: asyncio.Timeout) -> OutboundError | None:
        """What is raised instead of `error`; None if that is no business of this call."""
        import httpx2

        made = call.attempts
        if isinstance(error, OutboundError):
            return error if error.upstream == self.name else None
        if isinstance(error, TimeoutError):
            return (
                UpstreamTimeoutError(self.name, "no answer in time", attempts=made, transient=True) if limit.expired() else None
            )
        if isinstance(error, ForbiddenURLError):
            return ForbiddenTargetError(self.name, str(error), attempts=made - 1)
        if isinstance(error, _transport().TooLargeError):
            return ResponseTooLargeError(self.name, "the answer is too large", attempts=made)
        if isinstance(error, httpx2.RequestError) and _request_of(error) in (None, call.request):
            ours = isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol)
            return UnreachableError(self.name, type(error).__name__, attempts=made, transient=not ours)
        return None


def _transport() -> Any:
    from fastness.outbound import _transport

    return _transport


def _request_of(error: httpx2.RequestError) -> httpx2.Request | None:
    try:
        return error.request
    except RuntimeError:
        return None


def _within(url: httpx2.URL, base: httpx2.URL) -> bool:
    same = (url.scheme, url.raw_host, url.port) == (base.scheme, base.raw_host, base.port)
    path = url.raw_path.partition(b"?")[0]
    # Servers resolve `..` that was encoded, too; httpx2 has resolved the others.
    climbs = ".." in re.split(r"[/\\]", unquote(path.decode("ascii")))
    return same and not climbs and not url.userinfo and (path + b"/").startswith(base.raw_path)
