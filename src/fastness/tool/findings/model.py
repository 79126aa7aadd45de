"""Findings as values: one per root cause, with the evidence that convinces a reader. Nothing here renders them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal


class Severity(StrEnum):
    """How much a fault hurts in production, mildest first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 2 for error: severities compare by rank."""
        return list(Severity).index(self)


class Fix(StrEnum):
    """Whether the tool may correct the fault: on its own, after a person looked at it, or not at all."""

    SAFE = "safe"
    REVIEW = "review"
    NONE = "none"


Source = Literal["static", "boot", "probe"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place that proves the fault, in the order in which a reader follows it.

    Attributes:
        path: relative to the checked directory, with forward slashes.
        line: counted from 1.
        text: what this place contributes, one sentence without full stop.
    """

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One root cause.

    Attributes:
        rule: `family/name`.
        path: relative to the checked directory, with forward slashes.
        line: counted from 1; `column` too.
        message: what is wrong here, for the person who wrote the line.
        count: how many places suffer from this one cause.
        help: what to do about it.
    """

    rule: str
    severity: Severity
    path: str
    line: int
    column: int
    message: str
    evidence: tuple[Evidence, ...] = ()
    count: int = 1
    source: Source = "static"
    fix: Fix = Fix.NONE
    help: str = ""

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """Reports are sorted by place, so that two runs over the same files are the same text."""
        return self.path, self.line, self.column, self.rule, self.message


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A file or a rule that was not checked, and why. Never counted as passed."""

    path: str
    reason: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Documented:
    """What a reader must know of a rule.

    Attributes:
        practice: the line of the list of practices that it proves, as `4.1`.
        title: what is wrong where it finds something.
    """

    practice: str
    title: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one run over one directory.

    Attributes:
        failures: rules that failed inside: faults of ours, not of the project. They make the run end with exit code 2.
        sources: how this run could find something.
        known: the findings that a baseline silenced.
        resolved: the places that a baseline names although nothing is found there any more.
        fail_on: the mildest severity that makes the run fail.
        part: what the report is limited to, where it is; one phrase.
        documented: every rule there is by name, those that did not run too.
    """

    findings: Sequence[Finding]
    not_checked: Sequence[NotChecked] = ()
    failures: Sequence[NotChecked] = ()
    files: int = 0
    lines: int = 0
    routes: int = 0
    suppressed: int = 0
    seconds: float = 0.0
    rules: Sequence[str] = field(default=())
    sources: Sequence[Source] = ("static",)
    known: Sequence[Finding] = ()
    resolved: Sequence[str] = ()
    fail_on: Severity = Severity.WARNING
    part: str = ""
    documented: Mapping[str, Documented] = field(default_factory=dict)

    def at_or_above(self, severity: Severity) -> list[Finding]:
        """The findings that are at least this severe."""
        return [finding for finding in self.findings if finding.severity.rank >= severity.rank]

    def by_severity(self) -> dict[str, int]:
        """How many findings of each severity, every severity named."""
        counts = Counter(finding.severity for finding in self.findings)
        return {severity.value: counts[severity] for severity in reversed(Severity)}


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by place, each once."""
    return sorted(set(findings), key=lambda finding: finding.order)


def plain(record: Any) -> dict[str, object]:
    """The fields of a record, for `json.dumps(..., default=plain)`: in a sixth of the time that a deep copy takes.

    Raises:
        TypeError: it is none.
    """
    return {one.name: getattr(record, one.name) for one in fields(record)}
