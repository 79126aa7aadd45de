"""A report as JUnit's XML, the form in which CI servers read test results: a rule is a suite, a finding a failed case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TextIO
from xml.etree import ElementTree

from fastness.tool.findings.model import Finding, Report
from fastness.tool.project.files.project import Project

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # by XML 1.0, even as references


def write(report: Report, _project: Project, out: TextIO) -> None:
    """Write the rules that ran, in order. What is milder than the run fails on is a passed case with its text as output."""
    root = ElementTree.Element("testsuites", name="fastness check")
    by_rule: dict[str, list[Finding]] = {rule: [] for rule in report.rules}
    for finding in report.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, findings in sorted(by_rule.items()):
        _suite(root, report, rule, findings)
    if report.not_checked:
        unread = _element(root, "testsuite", name="not checked", tests=len(report.not_checked), skipped=len(report.not_checked))
        for one in report.not_checked:
            _element(_element(unread, "testcase", classname="not checked", name=one.path), "skipped", message=one.reason)
    suites = list(root)
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in suites)))
    root.set("time", f"{report.seconds:.3f}")
    ElementTree.indent(root)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n")


def _suite(root: ElementTree.Element, report: Report, rule: str, findings: Sequence[Finding]) -> None:
    failed = [finding for finding in findings if finding.severity.rank >= report.fail_on.rank]
    broken = [failure for failure in report.failures if failure.rule == rule]
    counts = {"tests": max(len(findings) + len(broken), 1), "failures": len(failed), "errors": len(broken)}
    suite = _element(root, "testsuite", name=rule, **counts)
    if not findings and not broken:
        documented = report.documented.get(rule)
        _element(suite, "testcase", classname=rule, name=documented.title if documented else rule)
    for failure in broken:
        case = _element(suite, "testcase", classname=rule, name=failure.path or rule)
        _element(case, "error", message=failure.reason)
    for finding in findings:
        name = f"{finding.path}:{finding.line} {finding.message}"
        case = _element(suite, "testcase", classname=rule, name=name, file=finding.path, line=finding.line)
        steps = [f"{evidence.path}:{evidence.line} {evidence.text}" for evidence in finding.evidence]
        text = "\n".join([f"{finding.path}:{finding.line}:{finding.column}", *steps, f"fix: {finding.help}"])
        if finding in failed:
            _element(case, "failure", type=finding.severity.value, message=finding.message).text = _clean(text)
        else:
            _element(case, "system-out").text = _clean(f"{finding.severity.value}: {finding.message}\n{text}")


def _element(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {key: _clean(str(value)) for key, value in attributes.items()})


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
