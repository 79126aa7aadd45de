"""What an edit of a file can have changed for who looked into it before.

Others see what stands outside of the bodies of its functions, and of the bodies only what they come to by a name: where that
name stands nowhere in the files that were looked into for an answer, the answer is what it was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from fastness.tool.project.kept.reading import CALLED
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.outline import TOP, Outline, body_text, draw, is_local, outer_text, outermost, surface
from fastness.tool.project.source.symbols import Class, Function, Scope

_WORD = re.compile(r"\w+")
_ALL = -1


class Edit(NamedTuple):
    """What an edit of one file changed, as bits of `reading`.

    Attributes:
        seen: the file, or the bodies of its functions; and what all files together tell, where that may be another.
        readers: the files that name one of these functions; all where more may come to them.
        functions: the labels of those whose bodies are others, and of those that name these; None for all there are.
    """

    seen: int
    readers: int = _ALL
    functions: AbstractSet[str] | None = None

    def reaches(self, mask: int) -> bool:
        """What was read from these files may be another now."""
        return bool(mask & self.seen) and bool(mask & (self.readers | CALLED))

    def leaves(self, label: str) -> bool:
        """The function of that label says what it said, as far as that lies in its own file."""
        return bool(label) and self.functions is not None and label.partition(".<locals>.")[0] not in self.functions


def compared(module: Module, before: Outline, others: Iterable[Module]) -> Edit:
    """What is another in a file that parses. It has its outline from then on.

    Args:
        before: its outline as it was.
        others: all files.
    """
    module.outline = now = draw(module.indexed())
    others = [one for one in others if one is not module]
    called = 0 if set(now["calls"]) == set(before["calls"]) else CALLED
    added = {name for name in _at_top(now) if not name.startswith("__")} - set(_at_top(before))
    if _is_another(module, now, before, added, others):
        return Edit(module.bit | called)
    edited = _edited(module, now, before, added)
    if edited is None:
        return Edit(module.inner_bit | called)
    names = {module.labelled[label].name for label in edited}
    return Edit(module.inner_bit | called, sum(one.bit for one in others if one.mentions(*names)), edited)


def _is_another(module: Module, now: Outline, before: Outline, added: AbstractSet[str], others: Iterable[Module]) -> bool:
    """More is new to others than bodies, and definitions that nobody names outside of the bodies of this file.

    Args:
        added: the names of those. Each may have stood for something else before, as for what is built in.
    """
    if now["surface"] == before["surface"]:
        return False
    if not added or any(other.mentions(*added) for other in others):
        return True
    if not added.isdisjoint(_WORD.findall(outer_text(module, without=added))):
        return True
    classes = _classes(before)  # others know them by their positions
    return _classes(now)[: len(classes)] != classes or surface(module, without=added) != before["surface"]


def _at_top(outline: Outline) -> list[str]:
    return [name for name, parent, *_ in outline["scopes"] if parent == TOP]


def _classes(outline: Outline) -> list[str]:
    return [name for name, _, *more in outline["scopes"] if not more]


def _edited(module: Module, now: Outline, before: Outline, added: AbstractSet[str]) -> set[str] | None:
    """The functions whose bodies are others, and those that name these, by label; None when they are come to otherwise, too.

    Args:
        added: the names of definitions that the file did not have.
    """
    functions = {module.labels[one.number]: one for one in outermost(module)}
    labels = {label for label in functions if now["bodies"][label] != before["bodies"].get(label)}
    words = {label: set(_WORD.findall(body_text(one))) for label, one in functions.items()}
    names = {functions[label].name for label in labels} | added
    while more := {label for label, of in words.items() if label not in labels and not names.isdisjoint(of)}:
        labels |= more
        names |= {functions[label].name for label in more}
    known = {id(_outermost(one)) for one in _known_otherwise(module)}
    heads, defined = Counter(_WORD.findall(outer_text(module))), Counter(one.name for one in functions.values())
    for label in labels:
        name = functions[label].name
        if name.startswith("__") or id(functions[label]) in known or heads[name] > defined[name]:
            return None
    return labels


def _known_otherwise(module: Module) -> list[Scope]:
    """What sets what is reached by other names, attributes of objects, names of the module, collections, and local classes."""
    found: list[Scope] = [function for one in module.classes for given in one.instance.values() for _, function in given]
    found += module.classes  # those in functions: who inherits answers under the names of the base
    found += [function for function in module.functions if function.globals]
    put = (where for name, places in module.put.items() for _, where in places if not is_local(name, where))
    return [*found, *(where for where in put if isinstance(where, Function))]


def _outermost(scope: Scope) -> Scope:
    """The function itself, or the one in which it stands; of a class, too."""
    found = above = scope
    while isinstance(above, Function | Class):
        found = above if isinstance(above, Function) else found
        above = above.parent
    return found
