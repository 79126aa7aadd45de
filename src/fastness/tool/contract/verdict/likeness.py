"""Which alternatives of two unions belong together, and which of one union exclude each other."""

from __future__ import annotations

from fastness.tool.contract.dialect import key
from fastness.tool.contract.verdict.branches import Branch


def fits(sent: str, taken: str) -> bool:
    return sent == taken or {sent, taken} == {"integer", "number"}


def stem(label: str) -> str:
    """A component's name without what FastAPI adds where input and output differ."""
    return label.removesuffix("-Input").removesuffix("-Output")


def _values(branch: Branch) -> set[str]:
    return {key(value) for value in branch.enum or ()}


def _tags(branch: Branch) -> dict[str, set[str]]:
    """The properties that hold a constant, and which."""
    found = {}
    for name, node in branch.keywords.get("properties", {}).items():
        if isinstance(node, dict):
            members = [node, *(member for member in node.get("allOf", ()) if isinstance(member, dict))]
            for member in members:
                values = [member["const"]] if "const" in member else member.get("enum")
                if values is not None and name in branch.keywords.get("required", ()):
                    found[name] = {key(value) for value in values}
    return found


def same_tag(one: Branch, other: Branch) -> bool:
    mine, theirs = _tags(one), _tags(other)
    return any(mine[name] & theirs[name] for name in mine.keys() & theirs.keys())


def by_likeness(branch: Branch, fitting: list[Branch]) -> list[Branch]:
    """The likeliest counterpart first."""
    return sorted(fitting, key=lambda other: (not same_tag(branch, other), stem(branch.label) != stem(other.label)))


def disjoint(taken: list[Branch]) -> bool:
    """Whether no value can be of two alternatives: they differ in type, or in the constant of a property that each needs."""
    for index, one in enumerate(taken):
        for other in taken[index + 1 :]:
            if not fits(one.type, other.type):
                continue
            if one.enum is not None and other.enum is not None and not _values(one) & _values(other):
                continue
            mine, theirs = _tags(one), _tags(other)
            if not any(not mine[name] & theirs[name] for name in mine.keys() & theirs.keys()):
                return False
    return True
