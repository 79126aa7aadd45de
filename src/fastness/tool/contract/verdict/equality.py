"""Equality of schemas across two documents: references are followed, the names of components do not matter."""

from __future__ import annotations

from typing import Any

from fastness.tool.contract.dialect import Schema, Space, key


class Equality:
    """Says whether schemas of two documents are the same, and remembers it of components."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}
        self._kept: list[Any] = []

    def __call__(self, one: Schema, other: Schema) -> bool:
        return self.same(one.space, one.node, other.space, other.node)

    def same(self, one: Space, mine: Any, other: Space, theirs: Any) -> bool:
        """The same for any part of a normalised schema, such as the value of a keyword."""
        return self._same(one, mine, other, theirs, set())

    def _same(self, one: Space, mine: Any, other: Space, theirs: Any, assumed: set[tuple[int, int]]) -> bool:
        if isinstance(mine, dict) and isinstance(theirs, dict):
            if isinstance(mine.get("$ref"), str) and isinstance(theirs.get("$ref"), str):
                first, second = one.target(mine["$ref"]), other.target(theirs["$ref"])
                pair = (id(first), id(second))
                if pair in self._known:
                    known = self._known[pair]
                elif pair in assumed:
                    known = True
                else:
                    known = self._same(one, first, other, second, assumed | {pair})
                    if not assumed or not known:
                        self._known[pair] = known
                        self._kept += [first, second]
                return (
                    known
                    and len(mine) == len(theirs)
                    and all(
                        name in theirs and self._same(one, value, other, theirs[name], assumed)
                        for name, value in mine.items()
                        if name != "$ref"
                    )
                )
            if mine.keys() != theirs.keys():
                return False
            return all(
                _same_set(value, theirs[name])
                if name in ("required", "enum", "type") and isinstance(value, list)
                else self._same(one, value, other, theirs[name], assumed)
                for name, value in mine.items()
            )
        if isinstance(mine, list) and isinstance(theirs, list):
            return len(mine) == len(theirs) and all(
                self._same(one, value, other, opposite, assumed) for value, opposite in zip(mine, theirs, strict=True)
            )
        return type(mine) is type(theirs) and bool(mine == theirs)


def _same_set(one: Any, other: Any) -> bool:
    if one == other and all(isinstance(value, str) for value in one):
        return True  # the usual case, and quickly told
    return isinstance(other, list) and {key(value) for value in one} == {key(value) for value in other}
