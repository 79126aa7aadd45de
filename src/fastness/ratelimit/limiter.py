"""What the two forms of a rate limit share: keys, headers, refusals, and what is counted and logged of them."""

from __future__ import annotations

import logging
import re
import socket
from time import monotonic
from typing import Literal

from fastness import _metrics, audit
from fastness.problems import Problem, ProblemType
from fastness.ratelimit.limit import Limit, Verdict
from fastness.ratelimit.store import Store, StoreError

logger = logging.getLogger("fastness.ratelimit")

OnStoreFailure = Literal["open", "closed"]

RATE_LIMITED = ProblemType(
    "urn:problem-type:fastness:rate-limited",
    "Too many requests",
    429,
    "The quota is used up; try again after `Retry-After` seconds. `violated-policies` names the limit.",
)
UNAVAILABLE = ProblemType(
    "urn:problem-type:fastness:rate-limit-unavailable",
    "The rate limit cannot be checked",
    503,
    "Nothing was done; try again after `Retry-After` seconds.",
)

# What a structured field's string may hold (RFC 9651, section 3.3.3), without what would need escaping.
_NAME = re.compile(r"[A-Za-z0-9 ,./_:-]{1,64}")
_MAPPED_IPV4 = bytes(10) + b"\xff\xff"


class Limiter:
    """One named limit: turns verdicts into headers and refusals.

    Args:
        limit: a `Limit`, or text such as `10/minute`.
        name: tells limits apart in headers, metrics and keys; the limit as text when None.
        on_store_failure: what becomes of requests while the store is down.

    Raises:
        ValueError: an argument is not valid.
    """

    def __init__(self, limit: Limit | str, *, name: str | None, on_store_failure: OnStoreFailure) -> None:
        self.limit = limit if isinstance(limit, Limit) else Limit.parse(limit)
        self.name = name if name is not None else str(self.limit)
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"rate limit name {self.name!r} is not 1 to 64 letters, digits, spaces or any of ,./_:-")
        if on_store_failure not in ("open", "closed"):
            raise ValueError(f"on_store_failure={on_store_failure!r} is neither 'open' nor 'closed'")
        # With the limit in it, so that a limit that was changed does not read the state of what it was before.
        self.prefix = f"{self.name}|{self.limit}|"
        self.closes = on_store_failure == "closed"
        burst = "" if self.limit.burst == self.limit.count else f";fastness-burst={self.limit.burst}"
        self.policy = f'"{self.name}";q={self.limit.count};w={self.limit.window}{burst}'
        refused = _metrics.counter("fastness_ratelimit_refused", "Requests over a rate limit.", ["limit"])
        failures = _metrics.counter(
            "fastness_ratelimit_store_failures",
            "Requests that were let through (open) or refused (closed) because the store of a rate limit was down.",
            ["limit", "outcome"],
        )
        self._refused = refused.labels(self.name)
        self._failures = failures.labels(self.name, on_store_failure)
        self._reports = Reports(period=max(60, self.limit.window))
        self._failing = False

    def headers(self, verdict: Verdict) -> dict[str, str]:
        """`RateLimit` and `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers-11 has them."""
        return {"RateLimit": f'"{self.name}";r={verdict.remaining};t={verdict.wait}', "RateLimit-Policy": self.policy}

    async def ask(self, store: Store, key: str, client: str | None) -> Verdict | None:
        """Count one request of `key`. None if the store is down and requests are let through.

        Raises:
            Problem: the request is refused.
        """
        try:
            verdict = store.hit(key, self.limit)
            if not isinstance(verdict, Verdict):
                verdict = await verdict
        except StoreError as error:
            self._fail(error)
            if self.closes:
                raise Problem(UNAVAILABLE, headers={"Retry-After": "1"}) from error
            return None
        if self._failing:
            self._failing = False
            logger.warning("the store of rate limit %r answers again", self.name)
        if not verdict.allowed:
            raise self.refuse(key, client, verdict)
        return verdict

    def refuse(self, key: str, client: str | None, verdict: Verdict) -> Problem:
        """Count and report a refusal, and give the problem that answers it."""
        self._refused.inc()
        unreported = self._reports.due(key, monotonic())
        if unreported is not None:
            audit.record("ratelimit.hit", limit=self.name, policy=str(self.limit), client=client, unreported=unreported)
        headers = {**self.headers(verdict), "Retry-After": str(verdict.wait)}
        return Problem(RATE_LIMITED, f"At most {self.limit}.", headers=headers, **{"violated-policies": [self.name]})

    def _fail(self, error: StoreError) -> None:
        self._failures.inc()
        if not self._failing:
            self._failing = True
            consequence = "refused" if self.closes else "not limited"
            logger.error("the store of rate limit %r is down, requests are %s: %s", self.name, consequence, error)


class Reports:
    """Which refusals are reported: the first of each key in a period and at most so many in all, so that an attack does not
    flood the log.

    Args:
        period: seconds.
        most: reports per period.
    """

    def __init__(self, *, period: float, most: int = 100) -> None:
        self._period = period
        self._most = most
        self._seen: set[str] = set()
        self._ends_at = 0.0
        self._unreported = 0

    def due(self, key: str, now: float) -> int | None:
        """None if the refusal is not to be reported, else how many were not since the last report."""
        if now >= self._ends_at:
            self._seen.clear()
            self._ends_at = now + self._period
        if key in self._seen or len(self._seen) >= self._most:
            self._unreported += 1
            return None
        self._seen.add(key)
        unreported, self._unreported = self._unreported, 0
        return unreported


def client_key(address: str | None) -> str:
    """Who counts as one client: an IPv4 address, or the /64 network of an IPv6 address, which is what one customer gets."""
    if address is None:
        return "c:"
    if ":" in address:
        try:
            packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
        except (OSError, ValueError):  # not an address; a null character is a ValueError
            return "c:" + address
        if packed.startswith(_MAPPED_IPV4):
            return "c:" + socket.inet_ntop(socket.AF_INET, packed[12:])
        return "c:" + packed[:8].hex()
    return "c:" + address
