"""What an expression can stand for: the project's own definitions, or something from outside described by its path."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, Scope

MOST = 8
"""Values of one expression; more is noise."""


@dataclass(frozen=True, slots=True)
class External:
    """Something that the project does not define, by the path that leads to it.

    `requests.get` is the function, `requests.get()` what a call returns, `requests.Session()` an instance however it was
    made, and `sqlalchemy.orm.Session().query().all` a method at the end of a chain.

    Attributes:
        call: the call that made it, with the scope it stands in, when one is known.
    """

    path: str
    call: tuple[ast.Call, Scope] | None = field(default=None, compare=False)

    @property
    def last(self) -> str:
        return self.path.rstrip("()").rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class ModuleValue:
    module: Module


@dataclass(frozen=True, slots=True)
class ClassValue:
    definition: Class


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of one of the project's classes."""

    definition: Class
    call: tuple[ast.Call, Scope] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FunctionValue:
    """A function of the project; `receiver` is the class it was reached through, when it is a method."""

    definition: Function
    receiver: Class | None = None


@dataclass(frozen=True, slots=True)
class Elements:
    """A collection, or an iterator, of which only the elements matter."""

    of: tuple[Value, ...]


Value: TypeAlias = External | ModuleValue | ClassValue | Instance | FunctionValue | Elements
Values: TypeAlias = tuple[Value, ...]


def is_object(value: Value) -> bool:
    """An instance of something that is no text: no function, class, module or collection."""
    return isinstance(value, Instance) or (isinstance(value, External) and value.path.endswith(")") and value.path != "str()")


def item(value: Value) -> Values:
    """What iterating over a value gives, or subscribing it."""
    if isinstance(value, Elements):
        return value.of
    return (value,) if isinstance(value, ClassValue | External) else ()


def union(found: Iterable[Values]) -> Values:
    """All values of several expressions, each once."""
    first: Values = ()
    kept: dict[Value, None] | None = None
    for values in found:
        if not first:  # as a rule the only one that says anything
            first = values
        elif values:
            kept = dict.fromkeys(first) if kept is None else kept
            kept.update(dict.fromkeys(values))
    return (first if kept is None else tuple(kept))[:MOST]
