"""Writes `[tool.fastness]` of a `pyproject.toml`, without touching anything else in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from fastness.tool.declaration import FILE
from fastness.tool.errors import CommandError
from fastness.tool.preflight.facts import Value


def write(directory: Path, facts: Mapping[str, Value]) -> bool:
    """Set `facts` in the table; False when they stood there already and the file was left alone.

    Comments, order and layout of the rest stay. A project without the file gets one with this table alone.
    """
    file = directory / FILE
    document = _parse(file)
    before = tomlkit.dumps(document)
    tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
    table = tool.get("fastness")
    if table is None:
        table = tool["fastness"] = tomlkit.table()
        table = tool["fastness"]
    missing = {key: value for key, value in facts.items() if key not in table}
    for key, value in facts.items():
        if key in table and table[key] != value:
            table[key] = value
    _insert(table, missing)
    after = tomlkit.dumps(document)
    if after == before:
        return False
    partial = file.with_name(f".{FILE}.partial")
    try:
        partial.write_text(after, encoding="utf-8")
        if file.exists():
            partial.chmod(file.stat().st_mode)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _insert(table: Any, values: Mapping[str, Value]) -> None:
    """Add plain values before the first sub-table: after it they would belong to that one."""
    tables = (
        {key: table.pop(key) for key in [key for key, value in table.items() if isinstance(value, Table)]} if values else {}
    )
    for key, value in values.items():
        table.add(key, value)
    for key, value in tables.items():
        table.add(key, value)


def _parse(file: Path) -> tomlkit.TOMLDocument:
    if not file.is_file():
        return tomlkit.document()
    try:
        return tomlkit.parse(file.read_text(encoding="utf-8"))
    except (tomlkit.exceptions.ParseError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from None
