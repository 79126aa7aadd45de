"""One report in every form: text for people, JSON, SARIF and GitHub's annotations for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TextIO

from fastness.tool.findings import junit, sarif, text
from fastness.tool.findings.model import Finding, Report, Severity
from fastness.tool.project.project import Project


def write(report: Report, *, form: str, project: Project, out: TextIO) -> None:
    """Write a report in one of `FORMS`."""
    FORMS[form](report, project, out)


def _json(report: Report, _project: Project, out: TextIO) -> None:
    document = {
        "findings": [_finding(finding) for finding in report.findings],
        "not_checked": [asdict(one) for one in (*report.not_checked, *report.failures)],
        "summary": {
            **report.by_severity(),
            "files": report.files,
            "lines": report.lines,
            "routes": report.routes,
            "rules": len(report.rules),
            "suppressed": report.suppressed,
            "known": len(report.known),
            "resolved": list(report.resolved),
            "seconds": round(report.seconds, 3),
        },
    }
    json.dump(document, out, indent=1)
    out.write("\n")


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "evidence": [asdict(evidence) for evidence in finding.evidence],
        "count": finding.count,
        "source": finding.source,
        "fix": finding.fix.value,
    }


def _github(report: Report, _project: Project, out: TextIO) -> None:
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    for finding in report.findings:
        place = f"file={_property(finding.path)},line={finding.line},col={finding.column},title={_property(finding.rule)}"
        lines = [finding.message, *(f"{e.path}:{e.line} {e.text}" for e in finding.evidence), finding.help]
        out.write(f"::{levels[finding.severity]} {place}::{_data(chr(10).join(filter(None, lines)))}\n")
    out.writelines(
        f"::notice file={_property(one.path)},title=not checked::{_data(one.reason)}\n" for one in report.not_checked
    )


def _html(report: Report, project: Project, out: TextIO) -> None:
    from fastness.tool.findings import html  # which takes longer to import than most reports to make

    html.write(report, project, out)


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


FORMS: Mapping[str, Callable[[Report, Project, TextIO], None]] = {
    "text": text.write,
    "json": _json,
    "sarif": sarif.write,
    "github": _github,
    "junit": junit.write,
    "html": _html,
}
