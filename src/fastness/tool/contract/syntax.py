"""Text to data: JSON and YAML, refused with the place where either would be read as something that was not meant.

Duplicate keys are refused, and YAML that grows beyond its text: aliases are how a kilobyte becomes a gigabyte.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from fastness.tool.errors import CommandError

LARGEST = 64 << 20  # bytes of a document
_MOST_NODES = 4_000_000
_DEEPEST = 200


class _DuplicateError(ValueError):
    pass


def parse(text: bytes, label: str) -> Any:
    """The data of a JSON or YAML text.

    Raises:
        CommandError: it is neither, too large, too deep, has a key twice, or is not UTF-8; with the place.
    """
    if len(text) > LARGEST:
        raise CommandError(f"{label}: {len(text) >> 20} MiB is more than the {LARGEST >> 20} MiB that a document may have")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{label}: not UTF-8 (byte {error.start})") from None
    try:
        data = _json(decoded, label) if decoded.lstrip()[:1] in ("{", "[") else _NONE
        if data is _NONE:
            data = _yaml(decoded, label)
        _measure(data, label)
    except RecursionError:
        raise CommandError(f"{label}: nested deeper than can be read") from None
    return data


_NONE = object()


def _json(text: str, label: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except _DuplicateError as error:
        raise CommandError(f"{label}: {error}") from None
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("{") and not _looks_like_yaml(text):
            raise CommandError(f"{label}: line {error.lineno}, column {error.colno}: {error.msg}") from None
        return _NONE
    except ValueError as error:
        raise CommandError(f"{label}: {error}") from None


def _looks_like_yaml(text: str) -> bool:
    """Flow style without quoted keys: `{openapi: 3.1.0}`."""
    return not text.lstrip()[1:].lstrip().startswith(('"', "}"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _DuplicateError(f"key {twice!r} stands twice in one object (with {', '.join(map(repr, list(made)[:5]))})")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# The pure-Python loader is the fallback; the one on libyaml is some ten times as fast.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Safe YAML with unique keys. Keys are text, as in JSON, and dates stay text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)
        made: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise yaml.constructor.ConstructorError(None, None, "a key that is no plain text", key_node.start_mark)
            if key in made:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice in one mapping", key_node.start_mark
                )
            made[key] = self.construct_object(value_node, deep=deep)
        return made


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}


def _yaml(text: str, label: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - the loader derives from the safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise CommandError(f"{label}: {place}{error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise CommandError(f"{label}: {' '.join(str(error).split())}") from None


def _measure(data: Any, label: str) -> None:
    """Refuse what is larger or deeper than it may be once aliases are followed, without following each of them."""
    sizes: dict[int, int] = {}
    active: set[int] = set()

    def size(value: Any, depth: int) -> int:
        if not isinstance(value, dict | list):
            return 1
        if id(value) in sizes:
            return sizes[id(value)]
        if id(value) in active:
            raise CommandError(f"{label}: an alias refers to what it stands in")
        if depth > _DEEPEST:
            raise CommandError(f"{label}: nested deeper than {_DEEPEST} levels")
        active.add(id(value))
        total = 1
        for inner in value.values() if isinstance(value, dict) else value:
            total += size(inner, depth + 1)
        active.discard(id(value))
        sizes[id(value)] = total
        if total > _MOST_NODES:
            raise CommandError(f"{label}: more than {_MOST_NODES:,} values once its aliases are followed")
        return total

    size(data, 0)
