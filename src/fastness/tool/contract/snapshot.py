"""The committed document: written so that equal contracts give equal files, and diffs show what changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastness.tool.contract.references import references
from fastness.tool.errors import CommandError


def render(document: Mapping[str, Any]) -> str:
    """The document as text: keys sorted, parameters and `required` in order, components that nothing uses left out."""
    return json.dumps(_ordered(_used(document)), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def stands(path: Path, document: Mapping[str, Any]) -> bool:
    """Whether the snapshot is there and says the same.

    Raises:
        CommandError: it cannot be read.
    """
    return _holds(path, render(document))


def write(path: Path, document: Mapping[str, Any]) -> bool:
    """Write the snapshot, in one step; False when it stood there already.

    Raises:
        CommandError: it cannot be written.
    """
    text = render(document)
    if _holds(path, text):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    return True


def _holds(path: Path, text: str) -> bool:
    try:
        return path.is_file() and path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from None


def _ordered(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: inner if name in ("example", "examples", "default") else _ordered(inner, name)
            for name, inner in value.items()
        }
    if not isinstance(value, list):
        return value
    made = [_ordered(inner) for inner in value]
    if key == "parameters":
        return sorted(made, key=lambda entry: json.dumps(_place(entry), sort_keys=True))
    if key == "required" and all(isinstance(entry, str) for entry in made):
        return sorted(made)
    return made


def _place(entry: Any) -> Any:
    return [entry.get("$ref", ""), entry.get("in", ""), entry.get("name", "")] if isinstance(entry, dict) else [str(entry)]


def _used(document: Mapping[str, Any]) -> dict[str, Any]:
    components = document.get("components")
    made = dict(document)
    if not isinstance(components, dict) or not isinstance(components.get("schemas"), dict):
        return made
    schemas = components["schemas"]
    rest = {**document, "components": {name: part for name, part in components.items() if name != "schemas"}}
    used: set[str] = set()
    pending: list[Any] = [rest]
    while pending:
        for _, reference in references(pending.pop()):
            prefix, _, name = reference.rpartition("/")
            if prefix == "#/components/schemas" and name in schemas and name not in used:
                used.add(name)
                pending.append(schemas[name])
            elif reference.startswith("#/components/schemas/") and prefix != "#/components/schemas":
                return made  # a reference into the middle of a schema: keep everything
    made["components"] = {**components, "schemas": {name: schema for name, schema in schemas.items() if name in used}}
    return made
