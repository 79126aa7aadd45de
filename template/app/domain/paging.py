"""Pages of a list that is ordered by id, newest first, and the cursors between them.

A cursor is the id of the last item seen, so that a page costs the same anywhere in the list and items that arrive in the
meantime shift nothing. It is opaque, not secret: a cursor made up by a client is a position like any other, and every query
is bound to the tenant.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")

# Base64url of 16 bytes: the last of 22 characters carries 2 bits. Every string that matches is a cursor.
CURSOR_PATTERN = r"^[A-Za-z0-9_-]{21}[AQgw]$"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    Attributes:
        items: newest first.
        next: where the following page starts, or None at the end.
    """

    items: Sequence[T]
    next: UUID | None


def encode_cursor(position: UUID) -> str:
    """The cursor that stands for `position`."""
    return base64.urlsafe_b64encode(position.bytes).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str) -> UUID:
    """The position that `cursor` stands for.

    Raises:
        ValueError: it is not a cursor.
    """
    try:
        raw = base64.b64decode(cursor + "==", altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("not a cursor") from None
    if len(raw) != 16 or encode_cursor(UUID(bytes=raw)) != cursor:
        raise ValueError("not a cursor")
    return UUID(bytes=raw)
