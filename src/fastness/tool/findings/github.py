"""A report as GitHub's annotations, which show a finding at its line in a pull request."""

from __future__ import annotations

from typing import TextIO

from fastness.tool.findings.model import Report, Severity
from fastness.tool.project.files.project import Project


def write(report: Report, _project: Project, out: TextIO) -> None:
    """Write a workflow command for each finding and each file that was not checked."""
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    for finding in report.findings:
        place = f"file={_property(finding.path)},line={finding.line},col={finding.column},title={_property(finding.rule)}"
        lines = [finding.message, *(f"{e.path}:{e.line} {e.text}" for e in finding.evidence), finding.help]
        out.write(f"::{levels[finding.severity]} {place}::{_data(chr(10).join(filter(None, lines)))}\n")
    out.writelines(
        f"::notice file={_property(one.path)},title=not checked::{_data(one.reason)}\n" for one in report.not_checked
    )


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
