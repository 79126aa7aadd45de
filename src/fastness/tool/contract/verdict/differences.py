"""What a comparison of two schemas finds: differences that may refuse a value, and notes on those that refuse nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the sender may send and the receiver may refuse.

    Attributes:
        path: where in the value, as names; `*` is any item.
        area: of the vocabulary of changes.
        kind: "narrowed" as the receiver sees it; "required", "removed" for properties.
        what: the keyword or thing that differs.
        sent, taken: what the sender's and the receiver's schema say of it.
        candidates: whole values that may show it.
    """

    path: tuple[str, ...]
    area: str
    kind: str
    what: str
    sent: Any = None
    taken: Any = None
    candidates: tuple[Any, ...] = ()

    def below(self, step: str, made: Iterable[Any]) -> Difference:
        """The difference as the value around it has it, with candidates made around its own."""
        return replace(self, path=(step, *self.path), candidates=tuple(value for value in made if value is not None))


@dataclass(frozen=True, slots=True)
class Note:
    """Something that differs and refuses nothing: a property that one side knows, a default."""

    path: tuple[str, ...]
    area: str
    kind: str
    what: str
    sent: Any = None
    taken: Any = None


def distinct(found: list[Difference]) -> list[Difference]:
    """One difference for each place, area and thing, with the values of all."""
    merged: dict[tuple[Any, ...], Difference] = {}
    for difference in found:
        known = (difference.path, difference.area, difference.kind, difference.what)
        first = merged.get(known)
        candidates = difference.candidates if first is None else (*first.candidates, *difference.candidates)
        merged[known] = replace(first or difference, candidates=candidates[:96])
    return list(merged.values())
