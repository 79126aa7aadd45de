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

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fastness.tool.contract.changes import Level
from fastness.tool.errors import CommandError

FILE = "pyproject.toml"
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
    file = directory / FILE
    if not file.is_file():
        return Settings(snapshot=directory / SNAPSHOT)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from None
    table = _table(document.get("tool", {}), "fastness", file)
    mine = _table(table, "contract", file)
    unknown = mine.keys() - _KEYS
    if unknown:
        raise CommandError(
            f"{file}: tool.fastness.contract has no {', '.join(sorted(unknown))}; it knows {', '.join(sorted(_KEYS))}"
        )
    return Settings(
        app=_text(table, "app", APP, file),
        snapshot=directory / _text(mine, "snapshot", SNAPSHOT, file),
        levels={pattern: _level(pattern, value, file) for pattern, value in _table(mine, "levels", file).items()},
        notice={**NOTICE, **{name: _days(name, value, file) for name, value in _table(mine, "notice", file).items()}},
        versions={prefix: _stability(prefix, value, file) for prefix, value in _table(mine, "versions", file).items()},
        timeout=_seconds(mine.get("timeout", 60), file),
    )


def _table(holder: Mapping[str, Any], key: str, file: Path) -> Mapping[str, Any]:
    value = holder.get(key, {})
    if not isinstance(value, dict):
        raise CommandError(f"{file}: {key} is not a table")
    return value


def _text(table: Mapping[str, Any], key: str, default: str, file: Path) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        raise CommandError(f"{file}: {key} = {value!r} is not text")
    return value


def _level(pattern: str, value: Any, file: Path) -> Level:
    try:
        return Level(value)
    except ValueError:
        raise CommandError(f"{file}: the level of {pattern} is {value!r}: expected {', '.join(Level)}") from None


def _days(name: str, value: Any, file: Path) -> int:
    if name not in STABILITIES or not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CommandError(f"{file}: notice.{name} = {value!r}: expected days for one of {', '.join(STABILITIES)}")
    return value


def _stability(prefix: str, value: Any, file: Path) -> str:
    level = value.get("stability") if isinstance(value, dict) else None
    if level not in STABILITIES or not prefix.startswith("/"):
        raise CommandError(f"{file}: versions.{prefix!r} needs a path prefix and stability, one of {', '.join(STABILITIES)}")
    return str(level)


def _seconds(value: Any, file: Path) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise CommandError(f"{file}: tool.fastness.contract.timeout = {value!r} is not a positive number of seconds")
    return float(value)
