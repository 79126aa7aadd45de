"""The verdict on two schemas: does the receiver take whatever the sender sends? One question, `Engine.covers`, three answers.

Sender and receiver follow from the direction: the old contract sends requests to the new one, the new contract sends
responses to the old one. `Yes` is proven, by the library or by taking both schemas apart. `No` comes with values that
validators of both documents have confirmed. Everything else is `Undecided`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from math import isfinite
from typing import Any

from fastness.tool.contract.dialect import Direction, Schema, as_text, target
from fastness.tool.contract.verdict.differences import Difference, Note
from fastness.tool.contract.verdict.jsonschema import Library
from fastness.tool.contract.verdict.structural import Comparison
from fastness.tool.contract.verdict.values import examples

__all__ = ["Difference", "Direction", "Engine", "No", "Note", "Undecided", "Yes"]


@dataclass(frozen=True, slots=True)
class Yes:
    """Whatever is sent is taken.

    Attributes:
        notes: what differs and refuses nothing.
    """

    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class No:
    """Something that may be sent is refused.

    Attributes:
        found: each difference with a value that the sender's schema admits and the receiver's does not.
        unclear: differences for which no such value was found.
        notes: what else differs.
    """

    found: tuple[tuple[Difference, Any], ...]
    unclear: tuple[Difference, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def counterexample(self) -> Any:
        """The first value."""
        return self.found[0][1]


@dataclass(frozen=True, slots=True)
class Undecided:
    """Neither could be proven.

    Attributes:
        reason: for people, one line.
        unclear: the differences that were not settled.
        notes: what else differs.
    """

    reason: str
    unclear: tuple[Difference, ...] = ()
    notes: tuple[Note, ...] = ()


class Engine:
    """Answers for the schemas of two documents. Answers are kept: documents repeat their schemas."""

    def __init__(self) -> None:
        self._library = Library()
        self._comparison = Comparison(self._library)
        self._answers: dict[tuple[int, int, bool], Yes | No | Undecided] = {}
        self._kept: list[Schema] = []

    def covers(self, old: Schema, new: Schema, direction: Direction) -> Yes | No | Undecided:
        """Whether a client of the old contract gets along with a server of the new one.

        Args:
            direction: REQUEST asks whether `new` takes what `old` admits, RESPONSE the reverse.
        """
        sender, receiver = (old, new) if direction is Direction.REQUEST else (new, old)
        sender, receiver = target(sender), target(receiver)  # many operations refer to one component
        known = (id(sender.node), id(receiver.node), sender.text)
        if known not in self._answers:
            self._kept += [sender, receiver]
            try:
                self._answers[known] = self._decide(sender, receiver)
            except (RecursionError, OverflowError):
                self._answers[known] = Undecided("the schemas are nested too deep, or their numbers too large, to be compared")
        return self._answers[known]

    def accepts(self, schema: Schema, value: Any) -> bool:
        """Whether a value is valid for a schema, as text where the schema says so."""
        if not schema.text:
            return self._library.accepts(schema, value) is True
        return any(self._library.accepts(schema, reading) is True for reading in _readings(value))

    def example(self, schema: Schema) -> Any:
        """A valid value; raises LookupError when none is found."""
        if not self._library.bearable(schema):
            raise LookupError
        if schema.text:
            schema = Schema(schema.space, as_text(schema, receives=False))
        for value in islice(examples(schema), 16):
            if self._library.accepts(schema, value):
                return value
        raise LookupError

    def _decide(self, sender: Schema, receiver: Schema) -> Yes | No | Undecided:
        if self._comparison.equal(sender, receiver):
            return Yes()
        one, other = sender, receiver
        for side in (one, other):
            if not self._library.bearable(side):
                return Undecided(f"the {_age(side)} schema is an alternative of itself, or refers to too much at once")
        if sender.text:
            one = Schema(sender.space, as_text(sender, receives=False))
            other = Schema(receiver.space, as_text(receiver, receives=True))
        for side in (one, other):
            if not self._library.usable(side):
                return Undecided(f"the {_age(side)} schema is not valid, or its pattern cannot be read")
        differences = self._comparison.differences(one, other)
        notes = tuple(self._comparison.notes(one, other))
        if differences:
            return self._settle(differences, notes, one, other, receiver)
        if one.node is False or self._comparison.equal(one, other) or self._admits(one):
            return Yes(notes)
        # Nothing follows from nothing: such a schema is a mistake in the document, and would make any change look safe.
        return Undecided(f"no value was found that the {_age(one)} schema admits", (), notes)

    def _settle(
        self, differences: list[Difference], notes: tuple[Note, ...], one: Schema, other: Schema, receiver: Schema
    ) -> Yes | No | Undecided:
        """Which of the differences are real: those with a value that is sent and refused."""
        found, unclear = [], []
        for difference in differences:
            value = self._confirmed(difference.candidates, one, receiver)
            if value is _NONE:
                unclear.append(difference)
            else:
                found.append((difference, value))
        if not found:
            value = self._confirmed(self._searched(one, other, text=receiver.text), one, receiver)
            if value is not _NONE:
                found, unclear = [(difference, value) for difference in unclear[:1]], unclear[1:]
        if found:
            return No(tuple(found), tuple(unclear), notes)
        if self._library.covers(one, other) and self._admits(one):
            return Yes(notes)
        what = ", ".join(f"{'/'.join(item.path) or 'the value'}: {item.what}" for item in unclear)
        return Undecided(f"neither proven nor refuted ({what})", tuple(unclear), notes)

    def _admits(self, schema: Schema) -> bool:
        """Whether some value was found that the schema admits."""
        return any(self._library.accepts(schema, value) for value in islice(examples(schema), 64))

    def _confirmed(self, candidates: Iterable[Any], sender: Schema, receiver: Schema) -> Any:
        for value in islice(candidates, _MOST_CANDIDATES):
            if self._library.accepts(sender, value) is True and self._refuses(receiver, value):
                return value
        return _NONE

    def _refuses(self, receiver: Schema, value: Any) -> bool:
        readings = _readings(value) if receiver.text else [value]
        return all(self._library.accepts(receiver, reading) is False for reading in readings)

    def _searched(self, sender: Schema, receiver: Schema, *, text: bool) -> Iterator[Any]:
        rest = self._library.remainder(sender, receiver)
        if rest is not None:
            yield from islice(examples(rest), 64)
        yield from islice(examples(sender), 64)
        if text:
            yield from _LONG


_NONE = object()
_LONG = (10**4, 10**9, -(10**9), 10**18, 10**60)  # numbers that are long once they are text
_MOST_CANDIDATES = 128
_MOST_READINGS = 64


def _age(schema: Schema) -> str:
    return "old" if schema.space.old else "new"


def _readings(value: Any) -> list[Any]:
    """What a value may be taken for once it has travelled as text; a list of one looks like its item."""
    if isinstance(value, dict):
        fields = [_readings(inner) for inner in value.values()]
        return [dict(zip(value, chosen, strict=True)) for chosen in islice(product(*fields), _MOST_READINGS)]
    if isinstance(value, list):
        inner = [_readings(item) for item in value]
        plain: list[Any] = [[choices[0] for choices in inner], [choices[-1] for choices in inner], value]
        return plain + (inner[0] if len(inner) == 1 else [])
    text = value if isinstance(value, str) else "true" if value is True else "false" if value is False else str(value)
    found: list[Any] = [text]
    for read in (int, float):
        try:
            number = read(text)
        except (ValueError, OverflowError):
            continue
        if isfinite(number):
            found.append(number)
    lowered = {"true": True, "false": False, "1": True, "0": False}
    if text.lower() in lowered:
        found.append(lowered[text.lower()])
    return found + [[item] for item in found]
