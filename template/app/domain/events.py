"""Events: what an application tells its subscribers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from app.domain.ids import tagged
from app.domain.refusals import PayloadTooLarge

# Lower-case identifiers joined by full stops, most general first: `order.line.added`.
EVENT_TYPE_PATTERN = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"
EVENT_TYPE_MAX_LENGTH = 128
PAYLOAD_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in an application.

    Attributes:
        type: what kind of thing; see `EVENT_TYPE_PATTERN`.
        payload: the application's data as compact JSON text, kept as it is sent so that it is signed only one way.
    """

    id: UUID
    tenant: str
    type: str
    payload: str
    created_at: datetime

    @classmethod
    def create(cls, *, id: UUID, tenant: str, type: str, payload: Mapping[str, Any], at: datetime) -> Self:  # noqa: A002
        """A new event.

        Raises:
            PayloadTooLarge: the payload has more than `PAYLOAD_MAX_BYTES` bytes as compact JSON.
        """
        text = json.dumps(payload, allow_nan=False, separators=(",", ":"))  # ASCII, so characters are bytes
        if len(text) > PAYLOAD_MAX_BYTES:
            raise PayloadTooLarge(size=len(text), limit=PAYLOAD_MAX_BYTES)
        return cls(id=id, tenant=tenant, type=type, payload=text, created_at=at)

    @property
    def public_id(self) -> str:
        """The id as clients know it, and receivers as `webhook-id`: the same in every attempt."""
        return tagged("evt", self.id)

    def body(self) -> bytes:
        """What subscribers receive: the structure that the Standard Webhooks specification recommends."""
        timestamp = self.created_at.isoformat().replace("+00:00", "Z")
        return f'{{"type":"{self.type}","timestamp":"{timestamp}","data":{self.payload}}}'.encode()
