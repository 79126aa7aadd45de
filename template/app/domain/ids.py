"""Identifiers: UUIDs that sort by time (RFC 9562, version 7), written with a prefix that says what they name."""

import secrets
import time
from datetime import datetime
from uuid import UUID


def new_id() -> UUID:
    """A new UUIDv7: ids made later sort after ids made earlier, to the precision of the clock."""
    return uuid7(nanoseconds=time.time_ns(), entropy=secrets.randbits(62))


def uuid7(*, nanoseconds: int, entropy: int) -> UUID:
    """The UUIDv7 of a Unix time and 62 bits of entropy.

    The 12 bits after the milliseconds carry the fraction of the millisecond (RFC 9562, section 6.2, method 3), so that
    ids made in one process within a millisecond sort too, without shared state.
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return UUID(int=(milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | entropy & (1 << 62) - 1)


def first_id(at: datetime) -> UUID:
    """The least of the ids of that time: those made earlier, to the millisecond, sort before it."""
    return uuid7(nanoseconds=int(at.timestamp() * 1000) * 1_000_000, entropy=0)


def tagged(prefix: str, value: UUID) -> str:
    """The public form of an id: `evt_0192...`."""
    return f"{prefix}_{value.hex}"
