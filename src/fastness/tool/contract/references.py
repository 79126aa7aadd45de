"""References of an OpenAPI document: resolved, and refused where they lead nowhere, in a circle or out of the document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urljoin

from fastness.tool.errors import CommandError

_DATA = frozenset({"example", "examples", "default", "enum", "const", "mapping"})
_NAMED = frozenset({"properties", "patternProperties", "schemas", "responses", "parameters", "headers", "dependentSchemas"})
_NO_DATA = object()
_LONGEST_CHAIN = 64
_REFERENCE = frozenset({"$ref", "summary", "description"})


def resolve(document: Mapping[str, Any], reference: str) -> Any:
    """What a reference within the document (`#/components/...`) points at, across references to references.

    Raises:
        CommandError: it points at nothing or at itself, or leaves the document.
    """
    seen: list[str] = []
    while True:
        if reference in seen or len(seen) > _LONGEST_CHAIN:
            raise CommandError(f"circular $ref {' -> '.join([*seen, reference])}: it never reaches a definition")
        seen.append(reference)
        found = _lookup(document, reference)
        if isinstance(found, dict) and isinstance(found.get("$ref"), str) and found.keys() <= _REFERENCE:
            reference = found["$ref"]
            continue
        return found


def follow(document: Mapping[str, Any], value: Any) -> Any:
    """`value`, or what it refers to when it is a Reference Object."""
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        return resolve(document, value["$ref"])
    return value


def trace(document: Mapping[str, Any], value: Any, pointer: str) -> tuple[Any, str]:
    """What `follow` gives, and the JSON Pointer of where it stands; `pointer` is that of `value` itself."""
    seen = 0
    while isinstance(value, dict) and isinstance(value.get("$ref"), str) and seen < _LONGEST_CHAIN:
        value, pointer, seen = _lookup(document, value["$ref"]), unquote(value["$ref"][1:]), seen + 1
    return value, pointer


def check(document: Mapping[str, Any], label: str) -> None:
    """Resolve every reference of the document once.

    Raises:
        CommandError: with the place of the first one that cannot be resolved.
    """
    good: set[str] = set()
    for place, reference in references(document):
        if reference in good:
            continue
        try:
            found = resolve(document, reference)
        except CommandError as error:
            raise CommandError(f"{label}: at {place or '/'}: {error}") from None
        if not isinstance(found, dict | bool):
            raise CommandError(
                f"{label}: at {place or '/'}: $ref {reference!r} leads to {type(found).__name__}, not to an object"
            )
        good.add(reference)


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Every `$ref` below `value` as (JSON Pointer of its holder, reference); examples and other data are not searched."""
    for place, holder in _holders(value):
        yield place, holder["$ref"]


def bundle(document: dict[str, Any], base: str, load: Callable[[str, str], Any]) -> dict[str, Any]:
    """A copy of the document with other files and URLs that it refers to taken in, under `x-bundled`.

    Args:
        base: the document's own path or URL, which relative references start from.
        load: gives the content of a path or URL, asked for by the document at another.
    """
    taken: dict[str, str] = {}
    bundled: dict[str, Any] = {}
    pending: list[tuple[Any, str]] = [(document, base)]
    while pending:
        value, origin = pending.pop()
        for _, holder in list(_holders(value)):
            target, _, fragment = holder["$ref"].partition("#")
            where = urljoin(origin, target) if target else origin
            if where == base:
                holder["$ref"] = f"#{fragment}"
                continue
            if where not in taken:
                taken[where] = str(len(taken))
                bundled[taken[where]] = load(where, origin)
                pending.append((bundled[taken[where]], where))
            holder["$ref"] = f"#/x-bundled/{taken[where]}{fragment}"
    return {**document, "x-bundled": bundled} if bundled else document


def _holders(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    stack: list[tuple[str, Any, str]] = [("", value, "")]
    while stack:
        place, found, name = stack.pop()
        if isinstance(found, dict):
            if isinstance(found.get("$ref"), str) and name not in _NAMED:
                yield place, found
            for key, inner in found.items():
                if isinstance(inner, dict | list) and (name in _NAMED or not (key in _DATA or str(key).startswith("x-"))):
                    stack.append((f"{place}/{escape(str(key))}", inner, "" if name in _NAMED else str(key)))
                elif isinstance(inner, dict) and key == "x-bundled":
                    stack.append((f"{place}/{key}", inner, "schemas"))
        elif isinstance(found, list):
            stack.extend((f"{place}/{index}", inner, "") for index, inner in enumerate(found) if isinstance(inner, dict | list))


def escape(name: str) -> str:
    """A name as one token of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _lookup(document: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#"):
        raise CommandError(f"$ref {reference!r} leaves the document: bundle it, or allow it with --allow-remote")
    pointer = unquote(reference[1:])
    if pointer and not pointer.startswith("/"):
        raise CommandError(f"$ref {reference!r} names an anchor; only JSON Pointers (#/components/...) are followed")
    found: Any = document
    for part in pointer.split("/")[1:]:
        token = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(token, _NO_DATA)
        elif isinstance(found, list) and token.isdigit() and int(token) < len(found):
            found = found[int(token)]
        else:
            found = _NO_DATA
        if found is _NO_DATA:
            raise CommandError(f"dangling $ref {reference!r}: there is nothing at {token!r}")
    return found
