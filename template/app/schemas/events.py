"""Events on the wire."""

import json
import math
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from app.domain.events import EVENT_TYPE_MAX_LENGTH, EVENT_TYPE_PATTERN, PAYLOAD_MAX_BYTES, Event
from app.domain.paging import Page
from app.schemas.base import InModel, OutModel
from app.schemas.ids import TaggedId
from app.schemas.paging import PageOut, PageQuery, cursor_to

_MAX_DEPTH = 32

EventId = Annotated[UUID, TaggedId("evt")]
EventType = Annotated[
    str,
    Field(
        max_length=EVENT_TYPE_MAX_LENGTH,
        pattern=EVENT_TYPE_PATTERN,
        description="Identifiers joined by full stops, the most general first.",
        examples=["order.paid"],
    ),
]


def _check_json(value: Any) -> Any:
    """Refuse what JSON parsers let through and other JSON parsers choke on. Walks without recursion: depth is hostile too."""
    stack = [(value, 1)]
    while stack:
        part, depth = stack.pop()
        if depth > _MAX_DEPTH:
            raise PydanticCustomError("json_depth", "Input should be nested at most {limit} deep", {"limit": _MAX_DEPTH})
        if isinstance(part, dict):
            stack += [(member, depth + 1) for pair in part.items() for member in pair]
        elif isinstance(part, list):
            stack += [(member, depth + 1) for member in part]
        elif isinstance(part, float) and not math.isfinite(part):
            raise PydanticCustomError("json_number", "Numbers should be finite")
        elif isinstance(part, str) and any("\ud800" <= character <= "\udfff" for character in part):
            raise PydanticCustomError("json_text", "Text should be valid Unicode, without lone surrogates")
    return value


class EventIn(InModel):
    """Something that happened."""

    type: EventType
    payload: Annotated[
        dict[str, JsonValue],
        BeforeValidator(_check_json),
        Field(
            description=f"Delivered as `data`. At most {PAYLOAD_MAX_BYTES} bytes as compact JSON, "
            f"nested at most {_MAX_DEPTH} deep."
        ),
    ]


class EventQuery(PageQuery):
    """Which events."""

    type: EventType | None = None


class EventSummaryOut(OutModel):
    """An event without its payload."""

    id: EventId
    type: str
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> Self:
        """As clients see it."""
        return cls(id=event.id, type=event.type, created_at=event.created_at)


class EventOut(EventSummaryOut):
    """An event."""

    payload: dict[str, JsonValue]

    @classmethod
    def of(cls, event: Event) -> Self:
        """As clients see it."""
        return cls(id=event.id, type=event.type, created_at=event.created_at, payload=json.loads(event.payload))


class EventPageOut(PageOut):
    """A part of the list of events."""

    items: list[EventSummaryOut]

    @classmethod
    def of(cls, page: Page[Event]) -> Self:
        """As clients see it."""
        return cls(items=[EventSummaryOut.of(event) for event in page.items], next_cursor=cursor_to(page.next))
