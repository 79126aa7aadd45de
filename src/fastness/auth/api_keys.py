"""API keys: making them, and telling whose one is. Only a hash is ever stored; where it is stored is the app's business.

A key is `<prefix>_<id>_<secret>`. The id is public: it finds the record, and names the key in lists and logs. The secret has
256 random bits, and that is why one round of SHA-256 is the right hash: slow, salted hashes protect secrets that can be
guessed, and this one cannot be, while a slow hash on every request would be a gift to whoever wants to exhaust the CPU.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastness.auth.principal import Principal, Reason, Refused

_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 43  # 62 ** 43 > 2 ** 256
_PREFIX = re.compile(r"[a-z][a-z0-9]{0,15}")
_KEY = re.compile(rf"{_PREFIX.pattern}_([0-9a-f]{{16}})_[A-Za-z0-9]{{{_SECRET_LENGTH}}}", re.ASCII)
_NO_HASH = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class NewAPIKey:
    """A key that was just made.

    Attributes:
        id: public id; store it.
        hash: SHA-256 of the key in hexadecimal; store it.
        key: the key itself. Show it to its owner once; it cannot be had again.
    """

    id: str
    hash: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class APIKey:
    """What is stored about a key, as `lookup` returns it.

    Attributes:
        id: its public id.
        hash: `NewAPIKey.hash`.
        subject: whom it authenticates; becomes `Principal.subject`.
        tenant: for which customer, or None.
        scopes: what it may do.
        expires_at: when it stops to be valid, or None.
        revoked_at: when it was withdrawn, or None.

    Raises:
        ValueError: a time has no time zone, as databases without such a type return it; say which one is meant.
    """

    id: str
    hash: str = field(repr=False)
    subject: str
    tenant: str | None = None
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("expires_at", "revoked_at"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"API key {self.id}: {name}={moment.isoformat()} has no time zone")


def generate_api_key(prefix: str = "key") -> NewAPIKey:
    """A new random key. `prefix` tells people and secret scanners whose key it is, for instance `relay`.

    Raises:
        ValueError: the prefix is not a lower-case letter and up to 15 letters or digits.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix: {prefix!r} is not a lower-case letter followed by up to 15 letters or digits")
    key_id = secrets.token_hex(8)
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    key = f"{prefix}_{key_id}_{secret}"
    return NewAPIKey(id=key_id, hash=_hash(key), key=key)


class APIKeyVerifier:
    """Accepts keys made by `generate_api_key` and stored by the app.

    Args:
        lookup: finds the stored key by its id, or None. It runs once for each request with a well-formed key, so a revoked
            key stops at once; what it raises ends the request with a 500, not with access.
        clock: the current time, with its time zone.
    """

    def __init__(
        self,
        lookup: Callable[[str], Awaitable[APIKey | None]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lookup = lookup
        self._clock = clock

    async def verify(self, key: str) -> Principal:
        """The principal of `key`; raises `Refused`."""
        # Bounds the text, too: what is not of our making does not reach the database.
        shape = _KEY.fullmatch(key)
        if shape is None:
            raise Refused(Reason.MALFORMED)
        stored = await self._lookup(shape[1])
        # Compared in constant time, and also when there is nothing to compare with.
        matches = hmac.compare_digest(_hash(key), stored.hash if stored is not None else _NO_HASH)
        if stored is None:
            raise Refused(Reason.UNKNOWN_KEY)
        if not matches:
            raise Refused(Reason.SECRET)
        if stored.revoked_at is not None:
            raise Refused(Reason.REVOKED)
        if stored.expires_at is not None and stored.expires_at <= self._clock():
            raise Refused(Reason.EXPIRED)
        return Principal(subject=stored.subject, tenant=stored.tenant, scopes=stored.scopes, method="api_key")


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("ascii")).hexdigest()
