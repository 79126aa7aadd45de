"""What `[tool.fastness.check]` says: which rules run, and where they are silent, with the reason. No rule is named here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fastness.tool import declaration
from fastness.tool.declaration import Table
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
    table = declaration.read(root).table("check", known=_KEYS)
    per_path = table.table("per-path")
    baseline = table.text("baseline")
    return Config(
        select=_names(table, "select"),
        ignore=_reasons(table.table("ignore")),
        per_path={pattern: _reasons(per_path.table(pattern)) for pattern in per_path.values},
        fail_on=_severity(table, "fail-on"),
        baseline=None if baseline is None else root / baseline,
    )


def _names(table: Table, key: str) -> tuple[str, ...]:
    names = table.values.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise table.wrong(key, "a list of rule names")
    return tuple(names)


def _reasons(table: Table) -> dict[str, str]:
    for rule, reason in table.values.items():
        if not (isinstance(reason, str) and reason.strip()):
            raise table.wrong(rule, "the reason why the rule is silent, as text")
    return dict(table.values)


def _severity(table: Table, key: str) -> Severity:
    try:
        return Severity(table.values.get(key, Severity.WARNING))
    except ValueError:
        raise table.wrong(key, "info, warning or error") from None


def _path_matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern.rstrip('/')}/*")
