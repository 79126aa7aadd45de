"""Values that are costly to make, kept for a time in memory or on Redis. What is kept for good belongs to a database.

`RedisStore` needs the `redis` extra.
"""

from fastness.cache.cache import Cache
from fastness.cache.redis import RedisStore
from fastness.cache.store import MemoryStore, SharedStore, Store

__all__ = ["Cache", "MemoryStore", "RedisStore", "SharedStore", "Store"]
