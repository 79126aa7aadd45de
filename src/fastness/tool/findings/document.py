"""A report as JSON."""

from __future__ import annotations

import json
from typing import TextIO

from fastness.tool.findings.model import Finding, Report, plain
from fastness.tool.project.files.project import Project


def write(report: Report, _project: Project, out: TextIO) -> None:
    """Write what was found, what was not checked, and how much of what there is."""
    document = {
        "findings": [_finding(finding) for finding in report.findings],
        "not_checked": [*report.not_checked, *report.failures],
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
    json.dump(document, out, indent=1, default=plain)
    out.write("\n")


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "evidence": finding.evidence,
        "count": finding.count,
        "source": finding.source,
        "fix": finding.fix.value,
    }
