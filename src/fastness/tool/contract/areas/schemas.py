"""Schemas: asks the engine whether a value that is sent is taken, and says what differs and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastness.tool.contract.areas import lifecycle
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.dialect import Direction, key
from fastness.tool.contract.model import UNMARKED, Marks, marks
from fastness.tool.contract.places import Place, common
from fastness.tool.contract.verdict import Difference, No, Note, Undecided, Yes

_PHRASES = {
    ("property", "required"): (
        "{what} is now required",
        "{what} was always there and may be missing now",
        "{what} may be left out now",
        "{what} is always there now",
    ),
    ("property", "removed"): (
        "{what} is no longer taken",
        "{what} is new, and the old contract ruled out unknown names",
        "{what} is taken now",
        "{what} is not sent any more",
    ),
    ("null", ""): ("null is no longer taken", "may be null now", "null is taken now", "is never null now"),
    ("alternative", ""): (
        "alternative {what} is no longer taken",
        "alternative {what} is new",
        "alternative {what} is taken now",
        "alternative {what} is not sent any more",
    ),
    ("additional-properties", ""): (
        "unknown properties are refused now",
        "unknown properties may be sent now",
        "unknown properties are taken now",
        "unknown properties are not sent any more",
    ),
}
"""Words for what breaks, in requests and responses, and for what does not: taken in requests now, not sent in responses."""
_MOST_SAID = 12  # values in one message
_FLIPPED = {"narrowed": "widened", "required": "optional", "removed": "added"}


def compare(
    context: Context,
    pair: Pair,
    direction: Direction,
    *,
    word: str,
    subject: str,
    old: Any,
    new: Any,
    pointers: tuple[str, str],
    example: Callable[[Any], Any],
    text: bool = False,
) -> None:
    """Compare a schema in its two documents.

    Args:
        direction: who sends the value.
        word: "request" or "response", as the document calls it.
        subject: for people: "the body", "query parameter limit".
        old, new: the schemas as they stand.
        pointers: where they stand, old and new.
        example: makes a whole request or response of a value that was refused.
        text: values travel as text.
    """
    if context.untouched(old, new):
        return
    one, other = context.old_schema(old, direction, text=text), context.new_schema(new, direction, text=text)
    answer = context.engine.covers(one, other, direction)
    say = _Speaker(
        context, pair, direction is Direction.REQUEST, word, subject, (Place(old, pointers[0]), Place(new, pointers[1]))
    )
    told = set()
    if isinstance(answer, No):
        for difference, value in answer.found:
            say.difference(difference, example(value))
        for difference in answer.unclear:
            say.undecided(difference, f"{difference.what} differs, and no example was found that proves it")
        told = {(difference.path, difference.area) for difference in [item for item, _ in answer.found] + list(answer.unclear)}
    elif isinstance(answer, Undecided):
        for difference in answer.unclear or (Difference((), "schema", "undecided", "schema"),):
            say.undecided(difference, answer.reason)
            told.add((difference.path, difference.area))
    for note in {(note.path, note.area, note.kind, note.what): note for note in answer.notes}.values():
        if (note.path, note.area) not in told:
            say.note(note)
    # The other way round: what is taken beyond what was, or is not sent any more. Nobody breaks, and people want to know.
    reverse = context.engine.covers(other, one, direction)
    free = [difference for difference, _ in reverse.found] if isinstance(reverse, No) else []
    free += reverse.unclear if isinstance(answer, Yes) and isinstance(reverse, No | Undecided) else ()
    for difference in free:
        if (difference.path, difference.area) not in told or difference.area == "enum":
            say.freedom(difference)
    for path, before, after in common(context.old_places, say.places[0], context.new_places, say.places[1]):
        part, both = f"{subject} at {'/'.join(path)}", (before.pointer, after.pointer)
        lifecycle.compare_marks(context, pair, marks(before.raw), marks(after.raw), places=both, part=part)


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Puts differences into words. The sender's and the receiver's side become the old and the new one."""

    context: Context
    pair: Pair
    forward: bool
    word: str
    subject: str
    places: tuple[Place, Place]

    def difference(self, difference: Difference, counterexample: Any) -> None:
        """A difference that is proven."""
        kind = difference.kind if self.forward else _FLIPPED[difference.kind]
        old, new = self._sides(difference.sent, difference.taken)
        level, ending = Level.BREAKING, ""
        if difference.area == "property":
            found = self._ending(difference.path)
            if found is not None and lifecycle.over(self.context, found):
                level, ending = Level.INFO, f", {lifecycle.circumstances(self.context, found)}"
        self.context.add(
            f"{self.word}.{difference.area}.{kind}",
            level,
            f"{self._place(difference)}{self._words(difference, old, new, 0 if self.forward else 1)}{ending}",
            operation=self.pair.old,
            places=self._locate(difference),
            counterexample=counterexample if level is Level.BREAKING else None,
            old=old,
            new=new,
        )

    def freedom(self, difference: Difference) -> None:
        """A difference the other way round."""
        kind = _FLIPPED[difference.kind] if self.forward else difference.kind
        new, old = self._sides(difference.sent, difference.taken)
        self.context.add(
            f"{self.word}.{difference.area}.{kind}",
            Level.INFO,
            f"{self._place(difference)}{self._words(difference, old, new, 2 if self.forward else 3)}",
            operation=self.pair.old,
            places=self._locate(difference),
            old=old,
            new=new,
        )

    def undecided(self, difference: Difference, reason: str) -> None:
        """A difference that could be neither proven nor refuted."""
        old, new = self._sides(difference.sent, difference.taken)
        self.context.add(
            f"{self.word}.{difference.area}.undecided",
            Level.BREAKING,
            f"{self._place(difference)}undecided: {reason}",
            operation=self.pair.old,
            places=self._locate(difference),
            old=old,
            new=new,
        )

    def note(self, note: Note) -> None:
        """Something that refuses nothing."""
        place, level, kind = self._place(note), Level.INFO, note.kind
        old, new = self._sides(note.sent, note.taken)
        counterexample = None
        if note.area == "property":
            # "added" is known to the receiver alone, "removed" to the sender alone.
            kind = note.kind if self.forward else {"added": "removed", "removed": "added"}[note.kind]
            message = f"{place}property {note.what} was {kind}"
            if kind == "removed":
                found = self._ending(note.path) or UNMARKED
                early = lifecycle.promised(self.context, found)
                level = Level.BREAKING if early else Level.INFO if lifecycle.over(self.context, found) else Level.WARNING
                message += f", {lifecycle.circumstances(self.context, found)}" if found.deprecated else ""
                message += ": the server may ignore it" if self.forward else ": it was optional, and is not sent any more"
                if early:
                    until = {"old": str(found.sunset), "new": None}
                    counterexample = {"request": self.context.request(self.pair), "property": note.what, "works_until": until}
        elif note.area == "default":
            level = Level.WARNING if self.forward else Level.INFO
            message = f"{place}the default was {old!r} and is {new!r}"
        else:
            kind = "narrowed" if self.forward else "widened"
            message = f"{place}unknown properties are no longer ruled out; none is documented"
        self.context.add(
            f"{self.word}.{note.area}.{kind}",
            level,
            message,
            operation=self.pair.old,
            places=self._locate(note),
            counterexample=counterexample,
            old=old,
            new=new,
        )

    def _ending(self, path: tuple[str, ...]) -> Marks | None:
        """What the old document said of the end of a property that the new one has no more; None when it has."""
        place, whole = self.context.old_places.locate(self.places[0], path)
        if not whole or self.context.new_places.locate(self.places[1], path)[1]:
            return None
        return marks(place.raw)

    def _sides(self, sent: Any, taken: Any) -> tuple[Any, Any]:
        return (sent, taken) if self.forward else (taken, sent)

    def _place(self, found: Difference | Note) -> str:
        """For people: where in the value; a property is named by what is said of it."""
        where = "/".join(found.path[:-1] if found.area == "property" else found.path)
        return f"{self.subject}{' at ' + where if where else ''}: "

    def _words(self, difference: Difference, old: Any, new: Any, voice: int) -> str:
        """`voice` is the place of the words in `_PHRASES`."""
        what = difference.what
        phrases = _PHRASES.get((difference.area, difference.kind)) or _PHRASES.get((difference.area, ""))
        if difference.area == "alternative" and what == "oneOf":
            text = "a value may fit more than one alternative of oneOf now"
        elif difference.area == "type":
            text = f"the type was {_joined(old)} and is {_joined(new)}"
        elif difference.area == "enum" and old is not None and new is not None:
            more, less = (old, new) if voice in (0, 3) else (new, old)
            kept = {key(value) for value in less}
            which = _joined([value for value in more if key(value) not in kept])
            text = f"{which} {('is no longer taken', 'is new', 'is taken now', 'is not sent any more')[voice]}"
        elif difference.area == "enum":
            limit = new if voice in (0, 3) else old
            words = ("only {} is taken now", "is no longer limited to {}", "is no longer limited to {}", "is only {} now")
            text = words[voice].format(_joined(limit))
        elif phrases is not None:
            text = phrases[voice].format(what=what)
        elif old is None and new is None:
            text = f"what {what} says changed"
        else:
            text = f"{what} was {_said(old)} and is {_said(new)}"
        return text

    def _locate(self, found: Difference | Note) -> tuple[str, str]:
        pointers = []
        for places, place in zip((self.context.old_places, self.context.new_places), self.places, strict=True):
            at, whole = places.locate(place, found.path)
            # A property stands where it is named; a keyword, or what is missing, in the schema that a reference leads to.
            pointers.append((at if whole and found.area == "property" else places.followed(at)).pointer)
        return pointers[0], pointers[1]


def _joined(value: Any) -> str:
    if isinstance(value, list):
        listed = [str(entry) for entry in value[:_MOST_SAID]]
        listed += [f"{len(value) - _MOST_SAID} more"] if len(value) > _MOST_SAID else []
        return " or ".join(listed) or "nothing"
    return str(value)


def _said(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        value = int(value)  # as people write it
    if isinstance(value, str) and value.startswith("content:"):
        value = value.removeprefix("content:").rstrip(";")  # what a string holds, see dialect
    return "unlimited" if value is None else repr(value)
