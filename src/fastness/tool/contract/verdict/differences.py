"""What a comparison of two schemas finds: differences that may refuse a value, and notes on those that refuse nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any


class Lazy:
    """Values that are made when somebody asks for them, and again each time: most are never looked at."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the sender may send and the receiver may refuse.

    Attributes:
        path: where in the value, as names; `*` is any item.
        area: of the vocabulary of changes.
        kind: "narrowed" as the receiver sees it; "required", "removed" for properties.
        what: the keyword or thing that differs.
        sent, taken: what the sender's and the receiver's schema say of it.
        candidates: whole values that may show it, the plainest first.
        shown: a part of the value was sent and refused. What holds the part is refused as well, but for odd cases; so nobody
            needs to ask for a proof of the contrary.
    """

    path: tuple[str, ...]
    area: str
    kind: str
    what: str
    sent: Any = None
    taken: Any = None
    candidates: Iterable[Any] = ()
    shown: bool = False

    def below(self, step: str, wrap: Callable[[Any], Any]) -> Difference:
        """The difference as the value around it has it.

        Args:
            wrap: makes the whole value of a part, or None when it cannot.
        """
        inner = self.candidates
        made = Lazy(lambda: (whole for value in inner if (whole := wrap(value)) is not None))
        return replace(self, path=(step, *self.path), candidates=made)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that differs and refuses nothing: a property that one side knows, a default."""

    path: tuple[str, ...]
    area: str
    kind: str
    what: str
    sent: Any = None
    taken: Any = None


def distinct(found: Iterable[Difference]) -> list[Difference]:
    """One difference for each place, area and thing, with the values of all."""
    merged: dict[tuple[Any, ...], list[Difference]] = {}
    for difference in found:
        merged.setdefault((difference.path, difference.area, difference.kind, difference.what), []).append(difference)
    return [same[0] if len(same) == 1 else _merged(same) for same in merged.values()]


def _merged(same: list[Difference]) -> Difference:
    return replace(same[0], candidates=Lazy(lambda: (value for difference in same for value in difference.candidates)))
