"""`[tool.fastness.contract]` of a pyproject.toml: where the snapshot is, which levels hold, how much notice clients get.

[tool.fastness]
app = "app.main:app"

[tool.fastness.contract]
snapshot = "contract/openapi.json"

[tool.fastness.contract.levels]
"request.server.*" = "warning"

[tool.fastness.contract.notice]     # days between the news of a removal and the removal, by stability level
stable = 180

[tool.fastness.contract.versions."/v2"]
stability = "beta"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from fastness.tool import declaration
from fastness.tool.contract.changes import Level
from fastness.tool.declaration import Table

SNAPSHOT = "contract/openapi.json"
APP = "app.main:app"
STABILITIES = ("draft", "alpha", "beta", "stable")
"""From what may change at any time to what may not."""
UNPROMISED = ("draft", "alpha")
NOTICE = {"draft": 0, "alpha": 0, "beta": 31, "stable": 180}
_KEYS = {"snapshot", "levels", "notice", "versions", "timeout"}


def today() -> date:
    """The day, in UTC."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a project says of its contract.

    Attributes:
        app: `module:attribute` of the FastAPI app, or of a function that makes it.
        snapshot: the committed document.
        levels: levels by pattern of change ids; the last that matches counts.
        notice: days between announcing a removal and the sunset, by stability level.
        versions: stability by path prefix; the longest that matches counts.
        timeout: seconds that the app has to give its document.
        today: the day that sunsets are measured against.
    """

    app: str = APP
    snapshot: Path = Path(SNAPSHOT)
    levels: Mapping[str, Level] = field(default_factory=dict)
    notice: Mapping[str, int] = field(default_factory=lambda: dict(NOTICE))
    versions: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60
    today: date = field(default_factory=today)

    @property
    def accepted(self) -> Path:
        """Where accepted changes stand: beside the snapshot."""
        return self.snapshot.with_name("accepted.toml")

    def level(self, identity: str, default: Level) -> Level:
        """The level of a change id."""
        found = default
        for pattern, level in self.levels.items():
            if fnmatchcase(identity, pattern):
                found = level
        return found

    def stability(self, path: str, declared: str | None) -> str:
        """What the operation at a path promises: as it says itself, as its version group says, else stable."""
        if declared is not None:
            return declared
        groups = [prefix for prefix in self.versions if path == prefix or path.startswith(f"{prefix.rstrip('/')}/")]
        return self.versions[max(groups, key=len)] if groups else "stable"


def read(directory: Path) -> Settings:
    """The settings of the project in `directory`; the defaults where it says nothing.

    Raises:
        CommandError: the file is not TOML, or a value is not what it has to be.
    """
    table = declaration.read(directory)
    mine = table.table("contract", known=_KEYS)
    levels, notice, versions = mine.table("levels"), mine.table("notice"), mine.table("versions")
    return Settings(
        app=table.text("app") or APP,
        snapshot=directory / (mine.text("snapshot") or SNAPSHOT),
        levels={pattern: _level(levels, pattern) for pattern in levels.values},
        notice={**NOTICE, **{name: _days(notice, name) for name in notice.values}},
        versions={prefix: _stability(versions, prefix) for prefix in versions.values},
        timeout=_seconds(mine, "timeout"),
    )


def _level(table: Table, pattern: str) -> Level:
    try:
        return Level(table.values[pattern])
    except ValueError:
        raise table.wrong(pattern, f"one of {', '.join(Level)}") from None


def _days(table: Table, name: str) -> int:
    value = table.values[name]
    if name not in STABILITIES or not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise table.wrong(name, f"a number of days, for one of {', '.join(STABILITIES)}")
    return value


def _stability(table: Table, prefix: str) -> str:
    level = table.table(prefix).values.get("stability")
    if level not in STABILITIES or not prefix.startswith("/"):
        raise table.wrong(prefix, f"a table for a path prefix with stability, one of {', '.join(STABILITIES)}")
    return str(level)


def _seconds(table: Table, key: str) -> float:
    value = table.values.get(key, 60)
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise table.wrong(key, "a positive number of seconds")
    return float(value)
