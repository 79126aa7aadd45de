"""How much a schema says of one and the same value: what `allOf`, `anyOf`, `oneOf`, `not`, conditions and `$ref` add up to.

A validator does all of it for one value, and so does whoever takes the schema apart. Forty components that name the next one
twice are a trillion; one that names itself as its own alternative never ends. Neither is compared.
"""

from __future__ import annotations

from fastness.tool.contract.dialect import Node, Space, subschemas

MOST = 20_000
_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLES = ("not", "if", "then", "else")


class Weights:
    """The weights in one document."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: dict[int, int] = {}
        self._active: set[int] = set()
        self._light: set[int] = set()

    def bearable(self, node: Node) -> bool:
        """Whether a schema, and each schema of a part of the value, has a weight that can be borne."""
        pending, seen = [node], set()
        while pending:
            found = pending.pop()
            if isinstance(found, bool) or id(found) in self._light or id(found) in seen:
                continue
            seen.add(id(found))
            if self.weight(found) > MOST:
                return False
            pending.extend(subschemas(found))
            if "$ref" in found:
                pending.append(self._space.target(found["$ref"]))
        self._light |= seen
        return True

    def weight(self, node: Node) -> int:
        """The number of schemas that speak of the value, up to a little more than `MOST`."""
        if isinstance(node, bool):
            return 1
        known = self._known.get(id(node))
        if known is not None:
            return known
        if id(node) in self._active or len(self._active) > 400:
            return MOST + 1  # it speaks of itself without end, or nearly
        self._active.add(id(node))
        total = 1
        if "$ref" in node:
            total += self.weight(self._space.target(node["$ref"]))
        for name in _LISTS:
            total += sum(map(self.weight, node.get(name, ())))
        total += sum(self.weight(node[name]) for name in _SINGLES if name in node)
        total += sum(map(self.weight, node.get("dependentSchemas", {}).values()))
        self._active.discard(id(node))
        self._known[id(node)] = min(total, MOST + 1)
        return self._known[id(node)]
