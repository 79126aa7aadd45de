"""What `[tool.fastness.check]` says: which rules run, and where they are silent, with the reason. No rule is named here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fastness.tool.errors import CommandError
from fastness.tool.findings import Severity

_KEYS = {"baseline", "select", "ignore", "per-path", "fail-on"}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one run. Rules are named as `family/name`, `family/*` or `family`.

    Attributes:
        select: the rules that run; empty: all.
        ignore: the rules that do not, each with the reason.
        per_path: the rules that are silent in files matching a pattern, each with the reason.
        fail_on: the mildest severity that makes the command fail.
        baseline: the file of known findings; None: none are known.
    """

    select: Sequence[str] = ()
    ignore: Mapping[str, str] = field(default_factory=dict)
    per_path: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fail_on: Severity = Severity.WARNING
    baseline: Path | None = None

    def runs(self, rule: str) -> bool:
        """The rule is selected and not ignored."""
        return (not self.select or matches(rule, self.select)) and not matches(rule, self.ignore)

    def silent(self, rule: str, path: str) -> bool:
        """The rule says nothing about this file."""
        return any(matches(rule, rules) and _path_matches(path, pattern) for pattern, rules in self.per_path.items())


def matches(rule: str, names: Iterable[str]) -> bool:
    """The rule is one of these names, or of one of these families."""
    return any(rule == name or rule.startswith(f"{name.removesuffix('/*').rstrip('/')}/") for name in names)


def read(root: Path) -> Config:
    """The settings in the project's `pyproject.toml`, the defaults where there is none.

    Raises:
        CommandError: the table is not valid; a wrong setting must not pass for a clean run.
    """
    path = root / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    table = document.get("tool", {}).get("fastness", {}).get("check", {})
    if not isinstance(table, dict):
        raise CommandError(f"{path}: [tool.fastness.check] must be a table")
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise CommandError(f"{path}: [tool.fastness.check] has no setting {unknown[0]!r}: {', '.join(sorted(_KEYS))}")
    per_path = table.get("per-path", {})
    if not isinstance(per_path, dict):
        raise CommandError(f"{path}: [tool.fastness.check.per-path] must be a table of path patterns")
    return Config(
        select=_names(path, table.get("select", [])),
        ignore=_reasons(path, "ignore", table.get("ignore", {})),
        per_path={pattern: _reasons(path, f'per-path."{pattern}"', rules) for pattern, rules in per_path.items()},
        fail_on=_severity(path, table.get("fail-on", Severity.WARNING)),
        baseline=_file(path, table.get("baseline")),
    )


def _names(path: Path, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise CommandError(f"{path}: select must be a list of rule names, got {value!r}")
    return tuple(value)


def _reasons(path: Path, key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(reason, str) and reason.strip() for reason in value.values()):
        raise CommandError(f'{path}: [tool.fastness.check.{key}] must give each rule a reason: "family/name" = "why"')
    return {str(name): reason for name, reason in value.items()}


def _severity(path: Path, value: object) -> Severity:
    try:
        return Severity(str(value))
    except ValueError:
        raise CommandError(f"{path}: fail-on must be info, warning or error, got {value!r}") from None


def _file(path: Path, value: object) -> Path | None:
    if value is not None and not (isinstance(value, str) and value):
        raise CommandError(f"{path}: baseline must be the path of a file, got {value!r}")
    return None if value is None else path.parent / value


def _path_matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern.rstrip('/')}/*")
