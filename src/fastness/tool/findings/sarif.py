"""A report as SARIF 2.1.0, the form that code-scanning services read."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TextIO

from fastness.tool.findings.model import Finding, Report, Severity
from fastness.tool.project.files.project import Project

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def write(report: Report, _project: Project, out: TextIO) -> None:
    """Write one run: rules, results, and the files that were not checked as notifications."""
    rules = sorted({finding.rule: finding for finding in report.findings}.items())
    index = {name: position for position, (name, _) in enumerate(rules)}
    driver = {
        "name": "fastness",
        "version": version("fastness"),
        "rules": [
            {"id": name, "help": {"text": finding.help or name}, "defaultConfiguration": {"level": _LEVELS[finding.severity]}}
            for name, finding in rules
        ],
    }
    run = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {"ROOT": {"description": {"text": "the checked directory"}}},
        "results": [_result(finding, index[finding.rule]) for finding in report.findings],
        "invocations": [
            {
                "executionSuccessful": not report.failures,
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": one.reason}, "locations": [_location(one.path, None)]}
                    for one in report.not_checked
                ],
            }
        ],
    }
    json.dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, out, indent=1)
    out.write("\n")


def _result(finding: Finding, rule: int) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [_location(finding.path, finding.line, finding.column)],
        "occurrenceCount": finding.count,
    }
    if finding.evidence:
        steps = [
            {"location": {**_location(e.path, e.line), "message": {"text": e.text}}, "executionOrder": order}
            for order, e in enumerate(finding.evidence, start=1)
        ]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return result


def _location(path: str, line: int | None, column: int | None = None) -> dict[str, object]:
    physical: dict[str, object] = {"artifactLocation": {"uri": path, "uriBaseId": "ROOT"}}
    if line is not None:
        physical["region"] = {"startLine": line} if column is None else {"startLine": line, "startColumn": column}
    return {"physicalLocation": physical}
