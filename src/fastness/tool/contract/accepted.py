"""Changes that a person accepted, with the reason, in a file beside the snapshot.

[[accepted]]
id = "request.operation.removed"
operation = "GET /v1/legacy"
location = "/paths/~1v1~1legacy/get"     # optional: any place of the operation without it
reason = "No caller since March; agreed in ADR 12."
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fastness.tool.contract.changes import Change
from fastness.tool.errors import CommandError

_KEYS = {"id", "operation", "location", "reason"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One entry of the file. It means exactly one id of one operation; patterns would accept what nobody has seen."""

    id: str
    operation: str
    reason: str
    location: str | None = None

    def means(self, change: Change) -> bool:
        """Whether it speaks of a change."""
        same = self.id == change.id and self.operation == change.operation
        return same and self.location in (None, change.location)


def read(path: Path) -> list[Accepted]:
    """The entries of the file; [] when there is none.

    Raises:
        CommandError: it is not TOML, or an entry lacks something. An acceptance without a reason is none.
    """
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from None
    if not isinstance(entries, list):
        raise CommandError(f"{path}: accepted is not a list of tables ([[accepted]])")
    found = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()) or entry.keys() - _KEYS:
            raise CommandError(f"{path}: entry {number}: expected id, operation, reason and perhaps location, all text")
        for name in ("id", "reason"):
            if not entry.get(name, "").strip():
                raise CommandError(f"{path}: entry {number} has no {name}")
        found.append(Accepted(entry["id"], entry.get("operation", ""), entry["reason"], entry.get("location")))
    return found


def apply(changes: Iterable[Change], entries: Iterable[Accepted]) -> tuple[list[Change], list[Accepted]]:
    """The changes with the reasons of those that were accepted, and the entries that mean no change any more."""
    unused = list(entries)
    known = tuple(unused)
    made = []
    for change in changes:
        entry = next((entry for entry in known if entry.means(change)), None)
        made.append(change if entry is None else replace(change, accepted=entry.reason))
        unused = [other for other in unused if other != entry]
    return made, unused
