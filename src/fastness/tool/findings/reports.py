"""One report in every form: text for people, JSON, SARIF and GitHub's annotations for machines."""

from __future__ import annotations

from importlib import import_module
from typing import TextIO

from fastness.tool.findings.model import Report
from fastness.tool.project.files.project import Project

# The module of each form, which is imported when the form is asked for: some take longer than most checks.
FORMS = {"text": "text", "json": "document", "sarif": "sarif", "github": "github", "junit": "junit", "html": "html"}


def write(report: Report, *, form: str, project: Project, out: TextIO) -> None:
    """Write a report in one of `FORMS`."""
    import_module(f"fastness.tool.findings.{FORMS[form]}").write(report, project, out)
