"""Rate limits per principal or client, in memory or on Redis by one algorithm. What bounds concurrency is `overload`."""

from fastness.ratelimit.dependency import RateLimit
from fastness.ratelimit.limit import Limit, Verdict
from fastness.ratelimit.limiter import RATE_LIMITED, UNAVAILABLE
from fastness.ratelimit.middleware import RateLimitMiddleware
from fastness.ratelimit.redis import RedisStore
from fastness.ratelimit.store import MemoryStore, Store, StoreError

__all__ = [
    "RATE_LIMITED",
    "UNAVAILABLE",
    "Limit",
    "MemoryStore",
    "RateLimit",
    "RateLimitMiddleware",
    "RedisStore",
    "Store",
    "StoreError",
    "Verdict",
]
