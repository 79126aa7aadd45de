"""What a comparison reports: one change, its level and its id. `areas` finds changes, `reports` shows them.

An id is composed of three words, `direction.area.kind`; the vocabulary below is all there is, and a rule of a project
(`[tool.fastness.contract.levels]`) may name an id or a pattern of ids (`response.*.widened`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How much a change matters. Undecided is no level: what could not be decided is breaking until it is accepted."""

    BREAKING = "breaking"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    """The outcome of a whole comparison."""

    COMPATIBLE = "compatible"
    BREAKING = "breaking"


DIRECTIONS = ("request", "response", "document")
AREAS = (
    "path",
    "operation",
    "server",
    "parameter",
    "body",
    "media-type",
    "encoding",
    "status",
    "header",
    "security",
    "scope",
    "webhook",
    "callback",
    "schema",
    "type",
    "null",
    "enum",
    "number",
    "length",
    "pattern",
    "format",
    "items",
    "property",
    "additional-properties",
    "keyword",
    "alternative",
    "default",
    "deprecation",
    "sunset",
    "stability",
)
KINDS = ("added", "removed", "required", "optional", "narrowed", "widened", "changed", "early", "missing", "undecided")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference that a client may notice.

    Attributes:
        id: `direction.area.kind`, stable between versions.
        level: as the rules say, after the project's own.
        operation: `GET /orders/{order_id}`; "" for the whole document.
        places: JSON Pointers (RFC 6901) in the old and the new document; what one of them lacks is at what would hold it.
        message: for people, one line.
        counterexample: a request that worked and fails now, or a response that a client could not receive before.
        old, new: what stood there, as far as it fits.
        accepted: the reason, when a person accepted it.
    """

    id: str
    level: Level
    operation: str
    places: tuple[str, str]
    message: str
    counterexample: Any = None
    old: Any = None
    new: Any = None
    accepted: str | None = None

    def __post_init__(self) -> None:
        direction, area, kind = self.id.split(".")
        if direction not in DIRECTIONS or area not in AREAS or kind not in KINDS:
            raise ValueError(f"change id {self.id!r} is not of the vocabulary")

    @property
    def location(self) -> str:
        """The place in the document that shows it best: the old one for what is gone or may be missing, else the new one."""
        return self.places[0 if self.id.endswith((".removed", ".optional")) else 1]

    @property
    def breaks(self) -> bool:
        """Breaking, and nobody accepted it."""
        return self.level is Level.BREAKING and self.accepted is None

    def as_json(self) -> dict[str, Any]:
        """The change as it stands in reports; `accepted` only where it was."""
        document: dict[str, Any] = {
            "id": self.id,
            "level": self.level.value,
            "operation": self.operation,
            "location": self.location,
            "places": dict(zip(("old", "new"), self.places, strict=True)),
            "message": self.message,
            "counterexample": self.counterexample,
            "old": self.old,
            "new": self.new,
        }
        if self.accepted is not None:
            document["accepted"] = self.accepted
        return document
