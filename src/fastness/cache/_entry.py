"""What a store keeps for one key: the value as JSON, behind a line that says until when it is good."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Self

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached value.

    Attributes:
        body: the value as JSON; None says that there is none.
        fresh_until: seconds since 1970 until which it is simply used.
        ends_at: seconds since 1970 until which it is used while a newer one is loaded.
    """

    body: bytes | None
    fresh_until: float
    ends_at: float

    def pack(self) -> bytes:
        """The entry as bytes."""
        head = json.dumps([_VERSION, self.fresh_until, self.ends_at, self.body is not None]).encode()
        return head + b"\n" + (self.body or b"")

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The entry from bytes.

        Raises:
            ValueError: it is none, or one of another version of this format.
        """
        head, separator, body = packed.partition(b"\n")
        match json.loads(head) if separator else None:
            case [1, int() | float() as fresh_until, int() | float() as ends_at, bool() as present]:
                return cls(body if present else None, fresh_until, ends_at)
        raise ValueError("not an entry of a cache")

    def postponed(self, until: float) -> Self:
        """The same, fresh for longer, as far as it lasts."""
        return replace(self, fresh_until=min(until, self.ends_at))
