"""Who inherits from whom. What the expression of a base stands for is `resolve`'s to say."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from fastness.tool.project.files.project import Project
from fastness.tool.project.kept.reading import INHERITANCE
from fastness.tool.project.names.external import canonical
from fastness.tool.project.names.memory import bits_of
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Values
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, Scope

Heirs: TypeAlias = Sequence[tuple[int, str, int]]
# Bases that answer to no name of their own: what a class inherits besides them is asked.
FORMS = frozenset({"typing.Generic", "typing.Protocol", "typing_extensions.Protocol", "abc.ABC", "object"})
_CLASS, _ROOT = re.compile(r"\bclass\b"), re.compile(r"\bclass\s+\w+\s*:")


class Hierarchy(ABC):
    """The classes of one project and their ancestors.

    Attributes:
        kept_heirs: what `heirs` gives, by path, for modules of which it is known.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.kept_heirs: Mapping[str, Heirs] = {}

    @abstractmethod
    def bases(self, defined: Class) -> Values:
        """The direct bases, generic parameters left out."""

    def mro(self, defined: Class) -> list[Class | External]:
        """The class, then its bases depth first, external ones by path."""
        order: list[Class | External] = []
        self._linearise(defined, order)
        return order

    def _linearise(self, defined: Class, order: list[Class | External]) -> None:
        if defined in order or len(order) > 40:
            return
        order.append(defined)
        for base in self.bases(defined):
            if isinstance(base, ClassValue):
                self._linearise(base.definition, order)
            elif isinstance(base, External) and base not in order:
                order.append(base)

    def derives(self, defined: Class, *paths: str) -> bool:
        """The class has one of these external classes among its ancestors."""
        return any(isinstance(base, External) and base.path in paths for base in self.mro(defined))

    def method(self, defined: Class, name: str) -> Function | None:
        """The method that instances of a class answer with, inherited or its own."""
        for base in self.mro(defined):
            if isinstance(base, Class) and (found := base.method(name)):
                return found
        return None

    def inherited(self, owner: Class, name: str) -> Values:
        """What `super()` of a class answers with."""
        for base in self.mro(owner)[1:]:
            if isinstance(base, External):
                if base.path in FORMS:
                    continue
                return (External(canonical(f"{base.path}().{name}")),)
            found = base.method(name)
            if found is not None:
                return (FunctionValue(found, owner),)
        return ()

    @staticmethod
    def enclosing_class(scope: Scope) -> Class | None:
        """The class in whose method a scope lies."""
        while not isinstance(scope, Module):
            if isinstance(scope, Class):
                return scope
            scope = scope.parent
        return None

    def subclasses(self, defined: Class) -> Iterator[Class]:
        """Every class of the project that has this one among its ancestors."""
        reading = self.project.reading
        reading.mask |= INHERITANCE
        seen = {defined}
        pending = [defined]
        while pending:
            for child in self._children.get(pending.pop(), ()):
                if child not in seen:  # a class can seem to inherit from itself, as one that replaces its import
                    seen.add(child)
                    pending.append(child)
                    reading.mask |= bits_of(child)
                    yield child

    def overriding(self, defined: Class, name: str) -> list[Function | None]:
        """The method that instances of each subclass answer with, from what is known of them without reading their files."""
        return [self._inherits(one, name, set()) for one in self.subclasses(defined)]

    def _inherits(self, defined: Class, name: str, seen: set[Class]) -> Function | None:
        seen.add(defined)
        self.project.reading.mask |= bits_of(defined)
        found = defined.method(name)
        parents = self._parents.get(defined, ()) if found is None else ()
        return next((m for one in parents if one not in seen and (m := self._inherits(one, name, seen))), found)

    @cached_property
    def _children(self) -> dict[Class, list[Class]]:
        found: dict[Class, list[Class]] = {}
        for heir, parents in self._parents.items():
            for parent in parents:
                found.setdefault(parent, []).append(heir)
        return found

    @cached_property
    def _parents(self) -> dict[Class, list[Class]]:
        found: dict[Class, list[Class]] = {}
        before = self.project.reading.mask  # what all of it was read from is INHERITANCE
        for module in self.project.readable:
            kept = self.kept_heirs.get(module.path)
            for heir, path, position in self.heirs(module) if kept is None else kept:
                parent = self.project.modules[path].classes[position]
                found.setdefault(module.classes[heir], []).append(parent)
        self.project.reading.mask = before
        return found

    def heirs(self, module: Module) -> Heirs:
        """The classes of a module that inherit from classes of the project, with the path and position of each of those."""
        if not _may_inherit(module):
            return []
        return [
            (position, base.definition.module.path, base.definition.module.classes.index(base.definition))
            for position, defined in enumerate(module.classes)
            for base in self.bases(defined)
            if isinstance(base, ClassValue) and base.definition is not defined
        ]


def _may_inherit(module: Module) -> bool:
    """The file may have a class with bases. Most tests have none, so that nothing else of them has to be read."""
    return module.is_service or len(_CLASS.findall(module.text)) > len(_ROOT.findall(module.text))
