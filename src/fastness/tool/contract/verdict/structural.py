"""Where two schemas differ, found by taking both apart: each difference with its place and values that may show it.

Differences are proposals, and their absence is a proof: with none, whatever the sender sends is taken. Recursive references
are compared by assuming what is being proven.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

from fastness.tool.contract.dialect import Direction, Node, Schema, Space, key, target
from fastness.tool.contract.verdict import values as make
from fastness.tool.contract.verdict.branches import ALL_TYPES, Branch, NotTakenApartError, branches, exclusive
from fastness.tool.contract.verdict.differences import Difference, Lazy, Note, distinct
from fastness.tool.contract.verdict.equality import Equality
from fastness.tool.contract.verdict.jsonschema import Library
from fastness.tool.contract.verdict.likeness import by_likeness, disjoint, fits, same_tag, stem
from fastness.tool.contract.verdict.limits import at_least, limits
from fastness.tool.contract.verdict.names import meetings
from fastness.tool.contract.verdict.patterns import samples

_EXTRA = "somethingElse"
_NAMES = (_EXTRA, "x", "X", "1", "with space", "é", "", "x" * 300)
_MOST_ITEMS = 1000
_MOST_TRIED = 6
_MOST_DIFFERENCES = 500
_PLAIN: tuple[Any, ...] = ("text", 1, None, [], {})


class _Sides(NamedTuple):
    """An alternative of the sender and one of the receiver, with the spaces of their references."""

    one: Space
    sent: Branch
    other: Space
    taken: Branch


@dataclass(slots=True)
class Comparison:
    """The differences between schemas of two documents, in one direction."""

    library: Library
    _known: dict[tuple[int, int], list[Difference]] = field(default_factory=dict)
    _notes: dict[tuple[int, int], list[Note]] = field(default_factory=dict)
    _equal: Equality = field(default_factory=Equality)
    _active: list[tuple[int, int]] = field(default_factory=list)
    _lowest: int = 1 << 30
    _kept: list[Any] = field(default_factory=list)

    def equal(self, one: Schema, other: Schema) -> bool:
        """Whether both say the same, whatever their components are called."""
        return self._equal(one, other)

    def differences(self, sender: Schema, receiver: Schema) -> list[Difference]:
        """Where the receiver may refuse what the sender sends; [] is a proof that it does not."""
        sender, receiver = target(sender), target(receiver)
        pair = (id(sender.node), id(receiver.node))
        if pair in self._known:
            return self._known[pair]
        if pair in self._active:
            self._lowest = min(self._lowest, self._active.index(pair))
            return []
        if self.equal(sender, receiver):
            return []
        self._kept += [sender, receiver]
        index = len(self._active)
        self._active.append(pair)
        outer, self._lowest = self._lowest, 1 << 30
        try:
            found = self._compare(sender, receiver)
        finally:
            self._active.pop()
        if self._lowest >= index:
            self._known[pair] = found  # else it rests on an assumption that is still to be proven
            self._lowest = outer
        else:
            self._lowest = min(outer, self._lowest)
        return found

    def notes(self, sender: Schema, receiver: Schema) -> list[Note]:
        """What else differs below the pair, after `differences` has been asked."""
        return self._notes.get((id(target(sender).node), id(target(receiver).node)), [])

    def _compare(self, sender: Schema, receiver: Schema) -> list[Difference]:
        try:
            sent, taken = branches(sender), branches(receiver)
        except NotTakenApartError as error:
            if self.library.covers(sender, receiver):
                return []
            return [Difference((), "keyword", "narrowed", str(error), candidates=tuple(self._remainder(sender, receiver)))]
        notes: list[Note] = []
        found: list[Difference] = []
        missing: dict[str, list[Any]] = {}
        for branch in sent:
            fitting = [other for other in taken if fits(branch.type, other.type)]
            if fitting:
                found += self._branch(sender, branch, receiver, fitting, notes)
                continue
            values = list(islice(make.of_branch(sender.space, branch), 2))
            missing.setdefault(branch.type, []).extend(values or [make.FREE[branch.type]])
        null = missing.pop("null", None)
        if null is not None:
            found.append(Difference((), "null", "narrowed", "null", candidates=tuple(null)))
        if missing:
            values = [value for kind in ALL_TYPES for value in missing.get(kind, ())] + missing.get("integer", [])
            said = _said_types(sent), _said_types(taken)
            found.insert(0, Difference((), "type", "narrowed", "type", *said, tuple(values)))
        if not found and exclusive(receiver) and not disjoint(taken):
            found = [
                Difference((), "alternative", "narrowed", "oneOf", candidates=self._overlaps(sender, receiver, sent, taken))
            ]
        found = self._unproven(found, sender, receiver)
        self._notes[id(sender.node), id(receiver.node)] = notes[:_MOST_DIFFERENCES]
        # Of five hundred differences in one schema more would help nobody, and a schema may be made to have a trillion.
        return distinct(found)[:_MOST_DIFFERENCES]

    def _unproven(self, found: list[Difference], sender: Schema, receiver: Schema) -> list[Difference]:
        """The differences, unless they are proven to refuse nothing. To find one value that is refused costs less than that."""
        if not found or any(difference.shown for difference in found):
            return found
        for index, difference in enumerate(found[:_MOST_TRIED]):
            for value in islice(difference.candidates, _MOST_TRIED):
                if self.library.accepts(sender, value) is True and self.library.accepts(receiver, value) is False:
                    return [*found[:index], replace(difference, shown=True), *found[index + 1 :]]
        return [] if self.library.covers(sender, receiver) else found

    def _branch(
        self, sender: Schema, branch: Branch, receiver: Schema, fitting: list[Branch], notes: list[Note]
    ) -> list[Difference]:
        """The differences between one alternative of the sender and those of the receiver that may take it."""
        best: list[Difference] | None = None
        best_notes: list[Note] = []
        related = False
        for other in by_likeness(branch, fitting):
            inner: list[Note] = []
            found = self._pair(_Sides(sender.space, branch, receiver.space, other), inner)
            if not found:
                notes += inner
                return []
            alike = (
                len(fitting) == 1 or (branch.label != "" and stem(branch.label) == stem(other.label)) or same_tag(branch, other)
            )
            if best is None or (alike and not related) or (alike == related and len(found) < len(best)):
                best, best_notes, related = found, inner, alike
        if best is None:
            return []
        if related:
            notes += best_notes
            # Another alternative may take the part, or what else is said of it may rule it out.
            alone = len(fitting) == 1 and not branch.rest
            return best if alone else [replace(difference, shown=False) for difference in best]
        if branch.enum is not None:
            refused = [value for value in branch.enum if not self._takes(receiver, value)]
            return [Difference((), "enum", "narrowed", "enum", branch.enum, None, tuple(refused))] if refused else []
        one, other_schema = Schema(sender.space, branch.node), receiver
        if self.library.covers(one, other_schema):
            return []
        candidates = [value for difference in best for value in islice(difference.candidates, 12)]
        candidates += list(islice(make.of_branch(sender.space, branch), 4))
        candidates += self._remainder(one, other_schema)
        name = branch.label or branch.type
        return [Difference((), "alternative", "narrowed", name, candidates=tuple(candidates[:24]))]

    def _pair(self, sides: _Sides, notes: list[Note]) -> list[Difference]:
        """The differences between two alternatives of the same type."""
        one, sent, other, taken = sides
        receiver = Schema(other, taken.node)
        if sent.enum is not None:
            listed = None if taken.enum is None else {key(value) for value in taken.enum}
            limited = listed is None or taken.keywords or taken.rest
            refused = tuple(
                value
                for value in sent.enum
                if (listed is not None and key(value) not in listed)
                or (limited and self.library.accepts(receiver, value) is not True)
            )
            area = "enum" if taken.enum is not None else "schema"
            return [Difference((), area, "narrowed", "enum", sent.enum, taken.enum, refused)] if refused else []
        if taken.enum is not None and not (sent.type == "boolean" and len(taken.enum) == 2) and sent.type != "null":
            near = Lazy(lambda: chain(make.of_branch(one, sent), make.outside(sent, taken)))
            return [Difference((), "enum", "narrowed", "enum", None, taken.enum, near)]
        found = list(limits(one, sent, taken))
        if sent.type == "array":
            found += self._items(sides, notes)
        elif sent.type == "object":
            found += self._properties(sides, notes)
        elif "contentSchema" in taken.keywords:
            found += self._content(sides, notes)
        found += self._rest(sides)
        return found

    def _items(self, sides: _Sides, notes: list[Note]) -> Iterator[Difference]:
        one, sent, other, taken = sides
        longest = max(len(sent.keywords.get("prefixItems", ())), len(taken.keywords.get("prefixItems", ())))
        for index in range(longest + 1):
            mine, theirs = make.item_node(sent, index), make.item_node(taken, index)
            if mine is False or sent.keywords.get("maxItems", index + 1) <= index:
                break
            step = "*" if index == longest else str(index)
            pair = Schema(one, mine), Schema(other, theirs)
            for difference in self.differences(*pair):
                yield difference.below(step, partial(_with_item, one, sent, index))
            notes += [replace(note, path=(step, *note.path)) for note in self.notes(*pair)]

    def _content(self, sides: _Sides, notes: list[Note]) -> Iterator[Difference]:
        """What a string says that is a document of its own."""
        one, sent, other, taken = sides
        pair = Schema(one, sent.keywords.get("contentSchema", True)), Schema(other, taken.keywords["contentSchema"])
        for difference in self.differences(*pair):
            yield difference.below("contentSchema", json.dumps)
        notes += [replace(note, path=("contentSchema", *note.path)) for note in self.notes(*pair)]

    def _properties(self, sides: _Sides, notes: list[Note]) -> Iterator[Difference]:
        one, sent, _other, taken = sides
        mine, theirs = sent.keywords.get("properties", {}), taken.keywords.get("properties", {})
        required = set(sent.keywords.get("required", ()))
        for name in taken.keywords.get("required", ()):
            if name not in required:
                yield Difference((name,), "property", "required", name, candidates=Lazy(partial(_without, one, sent, name)))
        known = {**dict.fromkeys(required, True), **mine}
        rest = sent.keywords.get("additionalProperties", True if not mine else None)
        for name in {**mine, **theirs}:
            node = known.get(name, rest)
            if node is None:
                notes.append(Note((name,), "property", "added", name))
            elif node is not False:
                yield from self._property(sides, name, node, notes)
        yield from self._additional(sides, notes)

    def _property(self, sides: _Sides, name: str, mine: Node, notes: list[Note]) -> Iterator[Difference]:
        one, sent, other, taken = sides
        theirs = make.property_node(taken, name)
        if theirs is False:
            schema = Schema(one, mine)
            made = Lazy(lambda: (_with_property(one, sent, name, value) for value in islice(make.examples(schema, 1), 2)))
            yield Difference((name,), "property", "removed", name, candidates=made)
            return
        pair = Schema(one, mine), Schema(other, theirs)
        for difference in self.differences(*pair):
            yield difference.below(name, partial(_with_property, one, sent, name))
        notes += [replace(note, path=(name, *note.path)) for note in self.notes(*pair)]
        if name not in taken.keywords.get("properties", {}):
            notes.append(Note((name,), "property", "removed", name))
        elif name in sent.keywords.get("properties", {}):
            before, after = _default(mine), _default(theirs)
            if before is not after and key(before) != key(after):
                notes.append(Note((name,), "default", "changed", name, before, after))

    def _additional(self, sides: _Sides, notes: list[Note]) -> Iterator[Difference]:
        one, sent, other, taken = sides
        theirs = taken.keywords.get("additionalProperties", True)
        mine = sent.keywords.get("additionalProperties", True)
        if theirs is True or mine is False:
            return
        declared = bool(sent.keywords.get("properties"))
        if "additionalProperties" not in sent.keywords and declared and one.direction is Direction.RESPONSE:
            # A server that documents the properties of its answer sends those.
            notes.append(Note((), "additional-properties", "narrowed", "additionalProperties"))
            return
        if theirs is False:
            schema = Schema(one, mine)
            made = Lazy(lambda: (_with_property(one, sent, _EXTRA, value) for value in islice(make.examples(schema, 1), 2)))
            yield Difference((), "additional-properties", "narrowed", "additionalProperties", candidates=made)
            return
        pair = Schema(one, mine), Schema(other, theirs)
        for difference in self.differences(*pair):
            yield difference.below("*", partial(_with_property, one, sent, _EXTRA))
        notes += [replace(note, path=("*", *note.path)) for note in self.notes(*pair)]

    def _rest(self, sides: _Sides) -> Iterator[Difference]:
        """Keywords that are compared as a whole: equal, or for the library to decide."""
        one, sent, other, taken = sides
        odd = [
            name
            for name in taken.keywords
            if name in _WHOLE and not self._equal.same(one, sent.keywords.get(name), other, taken.keywords[name])
        ]
        if "patternProperties" in sent.keywords and "patternProperties" not in odd:
            odd.append("patternProperties")  # it speaks of names that the receiver may know otherwise
        named = list(self._named(sides, odd))
        if not named:
            odd = [name for name in odd if name not in _OF_NAMES]
        unmatched = [node for node in taken.rest if not any(self._equal.same(one, mine, other, node) for mine in sent.rest)]
        if not odd and not unmatched:
            return
        sender, receiver = Schema(one, sent.node), Schema(other, taken.node)
        if self.library.covers(sender, receiver):
            return
        candidates = [value for difference in named for value in islice(difference.candidates, _MOST_TRIED)]
        candidates += self._remainder(sender, receiver)
        candidates += self._tailored(sides, odd)
        candidates += list(islice(make.examples(sender), 12))
        names = [*odd, *(name for node in unmatched if isinstance(node, dict) for name in node)]
        what = ", ".join(dict.fromkeys(names)) or "schema"
        yield Difference((), "keyword", "narrowed", what, _picked(sent, names), _picked(taken, names), tuple(candidates[:48]))

    def _named(self, sides: _Sides, odd: list[str]) -> Iterator[Difference]:
        """Where names, and what is sent at names that patterns tell, may be refused; without any that is proven not to be."""
        one, sent, other, taken = sides
        if "propertyNames" in odd:
            names = Schema(one, {"type": "string", "allOf": [sent.keywords.get("propertyNames", True)]})
            inner = Schema(one, make.property_node(sent, _EXTRA))
            values = list(islice(make.examples(inner), 1))
            for difference in self.differences(names, Schema(other, taken.keywords["propertyNames"])):
                yield difference.below("*", lambda name: _with_property(one, sent, name, values[0]) if values else None)
        if "patternProperties" in odd:
            for told, mine, theirs in meetings(sent.keywords, taken.keywords):
                for difference in self.differences(Schema(one, mine), Schema(other, theirs)):
                    for name in told or (_EXTRA,):
                        yield difference.below("*", partial(_with_property, one, sent, name))

    def _tailored(self, sides: _Sides, odd: list[str]) -> list[Any]:
        """Values that the odd keywords of the receiver speak of."""
        one, sent, other, taken = sides
        made: list[Any] = []
        if "patternProperties" in odd:
            patterns = {**sent.keywords.get("patternProperties", {}), **taken.keywords.get("patternProperties", {})}
            names = [name for pattern in patterns for name in samples(pattern)]
            made += [make.object_with(one, sent, {name: value}) for name in names for value in _PLAIN]
        if "propertyNames" in odd:
            inner = Schema(one, make.property_node(sent, _EXTRA))
            made += [
                make.object_with(one, sent, {name: value}) for name in _NAMES for value in islice(make.examples(inner, 1), 1)
            ]
        if "dependentRequired" in odd or "dependentSchemas" in odd:
            for name in [*taken.keywords.get("dependentRequired", ()), *taken.keywords.get("dependentSchemas", ())]:
                inner = Schema(one, make.property_node(sent, name))
                made += [_with_property(one, sent, name, value) for value in islice(make.examples(inner, 1), 2)]
        if {"contains", "minContains", "maxContains"} & set(odd):
            inner = Schema(other, taken.keywords.get("contains", True))
            for item in islice(make.examples(inner), 3):
                most = taken.keywords.get("maxContains", 0)
                sizes = (1, 2, most, most + 1, taken.keywords.get("minContains", 1) - 1)
                made += [[item] * size for size in sizes if size <= _MOST_ITEMS]
            made += [[], ["text"], [1], [None]]
        return [value for value in made if value is not None]

    def _remainder(self, sender: Schema, receiver: Schema) -> list[Any]:
        rest = self.library.remainder(sender, receiver)
        return [] if rest is None else list(islice(make.examples(rest), 12))

    def _overlaps(self, sender: Schema, receiver: Schema, sent: list[Branch], taken: list[Branch]) -> tuple[Any, ...]:
        """Values that more than one alternative of the receiver may take."""
        made = self._remainder(sender, receiver)
        for branch in sent:
            made += list(islice(make.of_branch(sender.space, branch), 12))
        for branch in taken:
            made += list(islice(make.of_branch(receiver.space, branch), 12))
        return tuple(made[:96])

    def _takes(self, schema: Schema, value: Any) -> bool:
        return self.library.accepts(schema, value) is True


_WHOLE = frozenset(
    {
        "contains",
        "minContains",
        "maxContains",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
    }
)
_OF_NAMES = frozenset({"patternProperties", "propertyNames"})


def _with_property(space: Space, branch: Branch, name: str, value: Any) -> dict[str, Any] | None:
    return make.object_with(space, branch, {name: value})


def _without(space: Space, branch: Branch, name: str) -> Iterator[Any]:
    whole = make.object_with(space, branch, {})
    if whole is not None:
        yield {other: value for other, value in whole.items() if other != name}


def _with_item(space: Space, branch: Branch, index: int, value: Any) -> list[Any] | None:
    lead = make.array(space, at_least(branch, index), []) if index else []
    return None if lead is None else make.array(space, branch, [*lead[:index], value])


def _said_types(found: list[Branch]) -> list[str]:
    types = sorted({branch.type for branch in found} - {"null"})
    return ["anything"] if len(types) >= len(ALL_TYPES) - 1 else types


def _default(node: Node) -> Any:
    return node.get("default") if isinstance(node, dict) else None


def _picked(branch: Branch, names: list[str]) -> Any:
    spoken = [branch.keywords, *(node for node in branch.rest if isinstance(node, dict))]
    return {name: node[name] for node in spoken for name in names if name in node} or None
