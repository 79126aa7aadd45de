"""Which parts of two documents are word for word the same, together with all that they refer to.

In most comparisons that is nearly everything, and knowing it costs a fraction of comparing it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastness.tool.contract.references import references, resolve
from fastness.tool.errors import CommandError


class Untouched:
    """Compares parts of an old and a new document, and remembers components."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old, self._new = old, new
        self._comparable = old.get("openapi") == new.get("openapi")
        self._equal: dict[str, bool] = {}
        self._references: dict[int, tuple[str, ...]] = {}

    def __call__(self, one: Any, other: Any) -> bool:
        """Whether a part of the old document is the same as one of the new."""
        if isinstance(one, bool):
            return one is other  # nothing is described in either, or nothing allowed
        return self._comparable and self._same(one, other)

    def _same(self, one: Any, other: Any) -> bool:
        # To Python 1, 1.0 and true are equal; to a client they are not, and JSON writes each in its own way.
        if one != other or json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
            return False
        return all(map(self._same_target, self._below(one)))

    def _below(self, value: Any) -> tuple[str, ...]:
        known = self._references.get(id(value))
        if known is None:
            known = tuple({reference for _, reference in references(value)})
            if isinstance(value, dict | list):  # parts of a document live as long as this; numbers and names may not
                self._references[id(value)] = known
        return known

    def _same_target(self, reference: str) -> bool:
        known = self._equal.get(reference)
        if known is None:
            self._equal[reference] = True  # assumed while it is looked at: a cycle is equal when all on it is
            known = self._same(_lookup(self._old, reference), _lookup(self._new, reference))
            if not known:
                # What was found equal on the way may have rested on the assumption.
                self._equal = {name: equal for name, equal in self._equal.items() if not equal}
            self._equal[reference] = known
        return known


def _lookup(raw: Mapping[str, Any], reference: str) -> Any:
    try:
        return resolve(raw, reference)
    except CommandError:
        return None  # gone in one of the documents, and therefore not equal
