"""Retried requests with one effect: a key, and the answer stored with what it is the answer to.

The table of in-transaction mode, its `metadata` for Alembic and `prune` are in `fastness.idempotency.records`, which needs
`fastness[db]`.
"""

from fastness.idempotency.guard import Idempotent, verify
from fastness.idempotency.outcome import IN_FLIGHT, INVALID, MISSING, REUSED, UNAVAILABLE, UNKNOWN, UNREADABLE
from fastness.idempotency.redis import RedisStore
from fastness.idempotency.route import IdempotentRoute
from fastness.idempotency.sealing import Sealer
from fastness.idempotency.store import MemoryStore, State, Store, StoreError, Verdict

__all__ = [
    "INVALID",
    "IN_FLIGHT",
    "MISSING",
    "REUSED",
    "UNAVAILABLE",
    "UNKNOWN",
    "UNREADABLE",
    "Idempotent",
    "IdempotentRoute",
    "MemoryStore",
    "RedisStore",
    "Sealer",
    "State",
    "Store",
    "StoreError",
    "Verdict",
    "verify",
]
