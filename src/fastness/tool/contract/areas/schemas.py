"""Schemas: asks the engine whether a value that is sent is taken, and says what differs and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.dialect import Direction
from fastness.tool.contract.model import Contract
from fastness.tool.contract.references import escape, follow
from fastness.tool.contract.verdict import Difference, No, Note, Undecided

_PHRASES = {
    ("property", "required"): ("{what} is now required", "{what} was always there and may be missing now"),
    ("property", "removed"): ("{what} is no longer taken", "{what} is new, and the old contract ruled out unknown names"),
    ("null", ""): ("null is no longer taken", "may be null now"),
    ("alternative", ""): ("alternative {what} is no longer taken", "alternative {what} is new"),
    ("additional-properties", ""): ("unknown properties are refused now", "unknown properties may be sent now"),
}
"""Words for requests and for responses."""
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
    one, other = context.old_schema(old, direction, text=text), context.new_schema(new, direction, text=text)
    answer = context.engine.covers(one, other, direction)
    say = _Speaker(context, pair, direction is Direction.REQUEST, word, subject, (old, new), pointers)
    if isinstance(answer, No):
        for difference, value in answer.found:
            say.difference(difference, example(value))
        for difference in answer.unclear:
            say.undecided(difference, f"{difference.what} differs, and no example was found that proves it")
    elif isinstance(answer, Undecided):
        for difference in answer.unclear or (Difference((), "schema", "undecided", "schema"),):
            say.undecided(difference, answer.reason)
    for note in {(note.path, note.area, note.kind, note.what): note for note in answer.notes}.values():
        say.note(note)


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Puts differences into words. The sender's and the receiver's side become the old and the new one."""

    context: Context
    pair: Pair
    forward: bool
    word: str
    subject: str
    raw: tuple[Any, Any]
    pointers: tuple[str, str]

    def difference(self, difference: Difference, counterexample: Any) -> None:
        """A difference that is proven."""
        kind = difference.kind if self.forward else _FLIPPED[difference.kind]
        old, new = self._sides(difference.sent, difference.taken)
        self.context.add(
            f"{self.word}.{difference.area}.{kind}",
            Level.BREAKING,
            f"{self._place(difference.path)}{self._words(difference, old, new)}",
            operation=self.pair.old,
            location=self._locate(difference.path, kind),
            counterexample=counterexample,
            old=old,
            new=new,
        )

    def undecided(self, difference: Difference, reason: str) -> None:
        """A difference that could be neither proven nor refuted."""
        old, new = self._sides(difference.sent, difference.taken)
        self.context.add(
            f"{self.word}.{difference.area}.undecided",
            Level.BREAKING,
            f"{self._place(difference.path)}undecided: {reason}",
            operation=self.pair.old,
            location=self._locate(difference.path, "changed"),
            old=old,
            new=new,
        )

    def note(self, note: Note) -> None:
        """Something that refuses nothing."""
        place, level, kind = self._place(note.path[:-1] if note.area == "property" else note.path), Level.INFO, note.kind
        old, new = self._sides(note.sent, note.taken)
        if note.area == "property":
            # "added" is known to the receiver alone, "removed" to the sender alone.
            kind = note.kind if self.forward else {"added": "removed", "removed": "added"}[note.kind]
            if kind == "removed":
                level = Level.WARNING
            message = f"{place}property {note.what} was {kind}"
            if kind == "removed":
                message += ": the server may ignore it" if self.forward else ": it was optional, and is not sent any more"
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
            location=self._locate(note.path, kind),
            old=old,
            new=new,
        )

    def _sides(self, sent: Any, taken: Any) -> tuple[Any, Any]:
        return (sent, taken) if self.forward else (taken, sent)

    def _place(self, path: tuple[str, ...]) -> str:
        where = "/".join(path)
        return f"{self.subject}{' at ' + where if where else ''}: "

    def _words(self, difference: Difference, old: Any, new: Any) -> str:
        what = difference.what
        phrases = _PHRASES.get((difference.area, difference.kind)) or _PHRASES.get((difference.area, ""))
        if difference.area == "alternative" and what == "oneOf":
            text = "a value may fit more than one alternative of oneOf now"
        elif difference.area == "type":
            text = f"the type was {_joined(old)} and is {_joined(new)}"
        elif difference.area == "enum" and old is not None and new is not None:
            more, less = (old, new) if self.forward else (new, old)
            gone = _joined([value for value in more if value not in less])
            text = f"{gone} is no longer taken" if self.forward else f"{gone} is new"
        elif difference.area == "enum":
            text = f"only {_joined(new)} is taken now" if self.forward else f"is no longer limited to {_joined(old)}"
        elif phrases is not None:
            text = phrases[0 if self.forward else 1].format(what=what)
        else:
            text = f"{what} was {_said(old)} and is {_said(new)}"
        return text

    def _locate(self, path: tuple[str, ...], kind: str) -> str:
        gone = kind in ("removed", "optional")
        side = 0 if gone else 1
        contract = self.context.old if gone else self.context.new
        return locate(contract, self.raw[side], self.pointers[side], path)


def locate(contract: Contract, raw: Any, pointer: str, path: tuple[str, ...]) -> str:
    """The JSON Pointer of what a path in the value means in the schema, as deep as the document has it in words."""
    for step in path:
        found = _step(contract, raw, pointer, step, 0)
        if found is None:
            break
        raw, pointer = found
    return pointer


def _step(contract: Contract, raw: Any, pointer: str, step: str, depth: int) -> tuple[Any, str] | None:
    if not isinstance(raw, dict) or depth > 16:
        return None
    if isinstance(raw.get("$ref"), str):
        return _step(contract, follow(contract.raw, raw), raw["$ref"][1:], step, depth + 1)
    for holder in ("properties", "prefixItems"):
        inside = raw.get(holder)
        named = dict(enumerate(inside)) if isinstance(inside, list) else inside if isinstance(inside, dict) else {}
        found = named.get(int(step) if isinstance(inside, list) and step.isdigit() else step)
        if found is not None:
            return found, f"{pointer}/{holder}/{escape(step)}"
    found = None
    for holder in ("items", "additionalProperties"):
        if step == "*" and isinstance(raw.get(holder), dict):
            found = found or (raw[holder], f"{pointer}/{holder}")
    for holder in ("allOf", "anyOf", "oneOf"):
        members = raw.get(holder)
        for index, member in enumerate(members if isinstance(members, list) else ()):
            found = found or _step(contract, member, f"{pointer}/{holder}/{index}", step, depth + 1)
    return found


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(str, value)) or "nothing"
    return str(value)


def _said(value: Any) -> str:
    return "unlimited" if value is None else repr(value)
