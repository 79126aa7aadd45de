"""A report for people: findings by section, each with its source, its evidence and what to do."""

from __future__ import annotations

from itertools import groupby
from typing import TextIO

from rich.console import Console
from rich.text import Text

from fastness.tool.findings import excerpts
from fastness.tool.findings.model import Finding, Report, Severity
from fastness.tool.findings.sections import SECTIONS, section
from fastness.tool.project.files.project import Project

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_SEEN = {"boot": " (seen in the booted app)", "probe": " (seen in its answers)"}
_MOST_PER_RULE = 20  # of one rule; the rest is counted, and in every other format


def write(report: Report, project: Project, out: TextIO) -> None:
    """Write the report, in colour when the stream is a terminal."""
    console = Console(file=out, highlight=False, soft_wrap=True)
    order = {heading: position for position, heading in enumerate(SECTIONS.values())}
    by_rule = sorted(report.findings, key=lambda f: (order.get(section(f.rule), 99), section(f.rule), -f.severity.rank, f.rule))
    for heading, of_section in groupby(by_rule, key=lambda f: section(f.rule)):
        console.print(Text(heading, style="bold underline"))
        for rule, findings in groupby(of_section, key=lambda f: f.rule):
            _rule(console, rule, list(findings), project)
        console.print()
    for resolved in report.resolved:
        console.print(Text.assemble(("resolved ", "green"), resolved))
    if report.resolved:
        console.print("The baseline names what is no longer found: shrink it with --write-baseline", style="dim")
    for one in report.not_checked:
        console.print(Text.assemble(("not checked ", "magenta"), one.path, f": {one.reason}"))
    console.print(Text(_summary(report), style="bold"))


def _rule(console: Console, rule: str, findings: list[Finding], project: Project) -> None:
    console.print(Text.assemble("\n  ", (findings[0].severity.value, _STYLES[findings[0].severity]), " ", (rule, "bold")))
    for finding in findings[:_MOST_PER_RULE]:
        _finding(console, finding, project)
    if len(findings) > _MOST_PER_RULE:
        console.print(f"    … and {len(findings) - _MOST_PER_RULE} more places", markup=False)
    if findings[0].help:
        console.print(Text.assemble(("    fix: ", "green"), findings[0].help))


def _finding(console: Console, finding: Finding, project: Project) -> None:
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    place = f"{finding.path}:{finding.line}:{finding.column}"
    console.print(Text.assemble("    ", (place, "blue"), f" {finding.message}{times}", (_SEEN.get(finding.source, ""), "dim")))
    source = excerpts.line(project, finding.path, finding.line, secret=finding.rule == excerpts.SECRET).strip()[:140]
    if source:
        console.print(Text.assemble(("      │ ", "dim"), source))
    for evidence in finding.evidence:
        console.print(Text.assemble(("      → ", "dim"), f"{evidence.path}:{evidence.line} ", (evidence.text, "dim")))


def _summary(report: Report) -> str:
    counts = ", ".join(f"{number} {severity}" for severity, number in report.by_severity().items())
    allowed = f", {report.suppressed} allowed by comments" if report.suppressed else ""
    unread = f", {len(report.not_checked)} not checked" if report.not_checked else ""
    part = f"; only {report.part}" if report.part else ""
    known = f", {len(report.known)} known from the baseline" if report.known else ""
    where = f"{report.files} files{unread}, {report.routes} path operations"
    return f"{counts}{allowed}{known} in {where}; {report.seconds:.1f} s{part}"
