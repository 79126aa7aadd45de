"""`[tool.fastness]` of a project's `pyproject.toml`: what the project declares to every command. `preflight` writes it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastness.tool.errors import CommandError

FILE = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the declaration. A value that is not what it has to be is refused by its place.

    Attributes:
        file: where it stands, also when there is none yet.
        name: dotted, `tool.fastness.check`.
        values: {} where the project says nothing.
    """

    file: Path
    name: str
    values: Mapping[str, Any]

    def table(self, key: str, *, known: set[str] | frozenset[str] | None = None) -> Table:
        """The table below this one, empty when there is none.

        Args:
            key: its name.
            known: the keys that it may hold; None: any.

        Raises:
            CommandError: it is not a table, or holds a key that is not known: a misspelt setting would do nothing.
        """
        name = f"{self.name}.{key}" if self.name else key
        values = self.values.get(key, {})
        if not isinstance(values, dict):
            raise CommandError(f"{self.file}: [{name}] must be a table, got {values!r}")
        unknown = sorted(values.keys() - set(known)) if known is not None else []
        if unknown:
            raise CommandError(
                f"{self.file}: [{name}] has no setting {unknown[0]!r}; it knows {', '.join(sorted(known or ()))}"
            )
        return Table(self.file, name, values)

    def text(self, key: str) -> str | None:
        """The text at `key`, None when there is none.

        Raises:
            CommandError: it is something else, or empty.
        """
        value = self.values.get(key)
        if value is not None and not (isinstance(value, str) and value):
            raise self.wrong(key, "text")
        return value

    def wrong(self, key: str, expected: str) -> CommandError:
        """The error that says that the value at `key` is not what is `expected`."""
        return CommandError(f"{self.file}: {key} in [{self.name}] must be {expected}, got {self.values.get(key)!r}")


def read(directory: Path) -> Table:
    """The declaration of the project in `directory`, empty when there is none.

    Raises:
        CommandError: the file cannot be read or is not TOML, or the table is not a table.
    """
    file = directory / FILE
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from None
    return Table(file, "", document).table("tool").table("fastness")
