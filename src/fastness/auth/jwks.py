"""An issuer's published keys, kept fresh in the background. The one place here that talks to the network.

A set that was fetched is used until `max_age`, whatever happens to the issuer meanwhile; an answer that is not a usable key
set changes nothing. Whoever asks for an unknown key may cause one fetch per `cooldown`, however many ask.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import math
import random
from collections.abc import Callable
from contextvars import Context
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastness import _metrics, _tasks, audit
from fastness.auth.principal import Unavailable

if TYPE_CHECKING:
    import httpx2

    from fastness.auth._jose import Key, KeyTable

logger = logging.getLogger("fastness.auth")

_MAX_REPORTED = 300


class JWKS:
    """The JWK Set of an issuer: a resource that opens in the lifespan, and a key source for `JWTVerifier`.

    A dead issuer does not stop `open`: guarded endpoints answer 503 until the first set arrives, and `check` says so.

    Args:
        url: address of the JWK Set. `https` is required, except on loopback.
        issuer: instead of `url`: the issuer, whose discovery document names the address (OpenID Connect Discovery 1.0).
        client: an `httpx2.AsyncClient` to use and leave open, for instance with a proxy or a private CA; by default an own one.
        refresh_every: seconds between background fetches.
        cooldown: seconds between fetches that are made because a key is unknown or none is left.
        max_age: seconds for which a fetched set is used when no newer one can be had; how long a key that the issuer has
            withdrawn can still be trusted while the issuer is out of reach.
        timeout: seconds for one fetch as a whole.
        max_bytes: size of the largest document read.
        name: names the resource in readiness, metrics and logs.
        clock: monotonic seconds.

    Raises:
        ValueError: the address may not be used, or the times contradict each other.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        issuer: str | None = None,
        client: httpx2.AsyncClient | None = None,
        refresh_every: float = 600.0,
        cooldown: float = 30.0,
        max_age: float = 86_400.0,
        timeout: float = 3.0,
        max_bytes: int = 262_144,
        name: str = "jwks",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if (url is None) == (issuer is None):
            raise ValueError(f"JWKS needs either a url or an issuer: got url={url!r}, issuer={issuer!r}")
        if not 0 < cooldown <= refresh_every <= max_age:
            raise ValueError(
                f"JWKS needs 0 < cooldown <= refresh_every <= max_age: got {cooldown!r}, {refresh_every!r}, {max_age!r}"
            )
        if timeout <= 0 or max_bytes <= 0:
            raise ValueError(f"JWKS needs a timeout and max_bytes above 0: got {timeout!r}, {max_bytes!r}")
        self.name = name
        self._url = None if url is None else _safe_url(url)
        self._issuer = issuer
        if issuer is not None:
            _safe_url(issuer)
        self._given_client = client
        self._client: httpx2.AsyncClient | None = None
        self._refresh_every = refresh_every
        self._cooldown = cooldown
        self._max_age = max_age
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._clock = clock
        self._table: KeyTable | None = None
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._failures = 0
        self._refresher: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[bool] | None = None
        # The series themselves begin with the first fetch: before it, any number would be an untruth.
        self._refreshes = _metrics.counter(
            "fastness_auth_jwks_refreshes", "Fetches of a JWK Set, by outcome (ok or failed).", ("jwks", "outcome")
        )
        self._refreshed = _metrics.gauge(
            "fastness_auth_jwks_refreshed_timestamp_seconds",
            "When the JWK Set in use was last fetched; of several workers, the oldest.",
            ("jwks",),
            many="livemin",
        )
        self._keys = _metrics.gauge("fastness_auth_jwks_keys", "Usable keys in the JWK Set.", ("jwks",), many="livemin")

    async def open(self) -> None:
        """Fetch the keys and start to keep them fresh. Returns also when the issuer is down."""
        if self._client is not None:
            raise RuntimeError(f"{self.name}: already open")
        import httpx2

        # Environment proxies are honoured; anything else about the client is the caller's to give.
        self._client = self._given_client or httpx2.AsyncClient(timeout=self._timeout)
        try:
            await self._refresh()
        except BaseException:
            await self.close()
            raise
        # Outside of any request: neither its context nor its trace goes with what happens there.
        self._refresher = asyncio.create_task(self._refresh_for_ever(), context=Context())

    async def close(self) -> None:
        """Stop refreshing. Keys are forgotten."""
        tasks = [task for task in (self._refresher, self._fetching) if task is not None]
        client, self._client, self._refresher, self._fetching, self._table = self._client, None, None, None, None
        await _tasks.end(*tasks)
        if client is not None and client is not self._given_client:
            await client.aclose()

    async def check(self) -> None:
        """Raises `Unavailable` when there are no keys that may be used."""
        if self._usable() is None:
            raise self._unavailable()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key with that id which fits the algorithm, or None when the issuer has none such.

        Raises:
            Unavailable: there are no keys, or they are older than `max_age` and new ones cannot be had.
        """
        table = self._usable()
        key = None if table is None else table.find(kid, algorithm)
        if key is None and await self._refresh_in_need():
            table = self._usable()
            key = None if table is None else table.find(kid, algorithm)
        if table is None:
            raise self._unavailable()
        return key

    async def run_once(self) -> bool:
        """Fetch the keys once; whether that succeeded. A failure is logged and counted, and leaves the keys as they are."""
        from fastness.auth._jose import KeyTable

        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(self._timeout):
                table = KeyTable(await self._document(), symmetric=False)
        except Exception as error:  # noqa: BLE001 - whatever an issuer does must not end the loop
            self._failures += 1
            self._refreshes.labels(self.name, "failed").inc()
            cause = f"{type(error).__name__}: {error}"[:_MAX_REPORTED]
            logger.warning("%s: keys could not be fetched from %s: %s", self.name, self._url or self._issuer, cause)
            return False
        self._failures = 0
        self._fetched_at = self._clock()
        self._adopt(table)
        return True

    def _adopt(self, table: KeyTable) -> None:
        self._refreshes.labels(self.name, "ok").inc()
        self._refreshed.labels(self.name).set(time())
        self._keys.labels(self.name).set(len(table))
        before, self._table = self._table, table
        if before is not None and before.ids.keys() == table.ids.keys():
            return
        if table.skipped:
            logger.warning("%s: keys left out: %s", self.name, "; ".join(table.skipped)[:_MAX_REPORTED])
        if before is not None:
            added = sorted(kid for print_, kid in table.ids.items() if print_ not in before.ids)
            removed = sorted(kid for print_, kid in before.ids.items() if print_ not in table.ids)
            audit.record("key.rotate", outcome="changed", jwks=self.name, added=added, removed=removed)

    def _usable(self) -> KeyTable | None:
        return self._table if self._clock() - self._fetched_at <= self._max_age else None

    def _unavailable(self) -> Unavailable:
        if self._client is None:
            return Unavailable(f"{self.name}: not open; add it to the resources of the lifespan")
        return Unavailable(
            f"{self.name}: no usable keys from {self._url or self._issuer}; its warnings say why",
            retry_after=min(self._cooldown, self._until_next()),
        )

    async def _refresh_in_need(self) -> bool:
        """Fetch now, unless that was tried a moment ago; whether there may be something new to look at."""
        if self._client is None or (self._fetching is None and self._clock() - self._tried_at < self._cooldown):
            return False
        return await self._refresh()

    async def _refresh(self) -> bool:
        """One fetch for all who ask while it runs; it goes on when one of them gives up."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self.run_once(), context=Context())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def _fetched(self, task: asyncio.Task[bool]) -> None:
        if self._fetching is task:
            self._fetching = None

    async def _refresh_for_ever(self) -> None:
        while True:
            # Spread by a tenth, so that replicas do not fetch in step.
            await asyncio.sleep(self._until_next() * random.uniform(0.9, 1.1))  # noqa: S311 - hides nothing
            await self._refresh()

    def _until_next(self) -> float:
        """Seconds between background fetches: sooner after a failure, at first after a second and then ever later."""
        return min(self._refresh_every, 2.0 ** min(self._failures - 1, 32)) if self._failures else self._refresh_every

    async def _document(self) -> Any:
        if self._url is not None:
            return await self._get(self._url)
        issuer = self._issuer or ""
        discovered = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        # OpenID Connect Discovery, section 4.3: otherwise one issuer could speak for another.
        if not isinstance(discovered, dict) or discovered.get("issuer") != issuer:
            raise ValueError("the discovery document is another issuer's")
        return await self._get(_safe_url(str(discovered.get("jwks_uri"))))

    async def _get(self, url: str) -> Any:
        if self._client is None:
            raise RuntimeError("not open")
        # Compression is declined: a small answer must not become a large one.
        headers = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}
        async with self._client.stream("GET", url, headers=headers, follow_redirects=False, timeout=self._timeout) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("compressed answer")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_bytes:
                    raise ValueError(f"more than {self._max_bytes} bytes")
        return json.loads(body)


def _safe_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.username is not None or parts.fragment:
        raise ValueError(
            f"{_printable(parts.geturl())!r} is not an address of keys: give https://host/path without credentials"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValueError(f"{_printable(url)!r}: keys are fetched over https only; http is for loopback")
    return url


def _printable(url: str) -> str:
    # Credentials in an address must not reach a log.
    return url.rpartition("@")[2][:_MAX_REPORTED]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
