"""Reports for browsers and CI servers: complete, and safe to open whatever the project's sources hold."""

from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastness.tool.findings import Documented, Evidence, Finding, NotChecked, Report, Severity, reports
from fastness.tool.findings.practices import DEFINITION_OF_DONE
from fastness.tool.project.files.project import Project

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)> ]]> & \x00\x1b[2J \"' `code`"
RULE, CLEAN, UNRUN = "security/unverified-jwt", "security/unlimited-login", "security/missing-headers"
DOCUMENTED = {RULE: Documented("6.1", "Title"), CLEAN: Documented("6.5", "Title"), UNRUN: Documented("6.4", "Title")}


def _finding(text: str, *, severity: Severity = Severity.ERROR, rule: str = RULE, line: int = 1) -> Finding:
    return Finding(rule, severity, "app/main.py", line, 1, text, (Evidence("app/main.py", line, text),), help=text)


def _report(*findings: Finding) -> Report:
    return Report(findings, rules=[RULE, CLEAN], documented=DOCUMENTED)


def _written(form: str, report: Report, source: str = "x = 1\n") -> str:
    out = StringIO()
    reports.write(report, form=form, project=Project({"app/main.py": source.encode()}), out=out)
    return out.getvalue()


class _Page(HTMLParser):
    """The tags, with their attributes, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(max_examples=30)
@given(st.text())
def test_nothing_from_a_project_becomes_markup(text: str) -> None:
    """Messages, evidence, help, paths and source lines are text in the page, whatever they hold."""
    for hostile in (text, HOSTILE + text):
        line = "".join(character for character in hostile if character not in "\r\n\x00")
        finding = replace(_finding(hostile), path=f"app/{hostile}")
        report = replace(_report(finding, _finding(hostile)), not_checked=[NotChecked(hostile, hostile)], resolved=[hostile])
        page = _Page(_written("html", report, f"# {line}\n"))
        assert not {"script", "img", "iframe", "object", "link", "base", "form"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"src", "action"}]
        assert all(value and value.startswith("#section-") for name, value in page.attributes if name == "href")


def test_the_page_loads_nothing() -> None:
    """One file: no address of anything else, and a policy that forbids what could slip in."""
    page = _written("html", _report(_finding("message")))
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page


def test_the_page_says_what_is_done() -> None:
    """Every practice stands in it; one is clean only when all its rules ran and found nothing."""
    text = _Page(_written("html", _report(_finding("a finding")))).text
    for section in DEFINITION_OF_DONE:
        assert all(practice in text for practice in section.practices.values())
    states = {
        number: text.split(practice, 1)[1].strip().split("\n")[0]
        for number, practice in DEFINITION_OF_DONE[6].practices.items()
    }
    assert states["6.1"].startswith("1 finding")
    assert states["6.5"].startswith("clean")
    assert states["6.4"].startswith("not checked")
    assert states["6.3"].startswith("no rule")


def test_known_findings_are_not_clean() -> None:
    """A practice whose findings a baseline silences says so."""
    text = _Page(_written("html", replace(_report(), known=[_finding("old")]))).text
    assert "1 known from the baseline" in text


@pytest.mark.parametrize("form", ["text", "html"])
def test_secrets_are_not_shown(form: str) -> None:
    """The line of a hardcoded secret is shown without it, in the excerpts of other findings too."""
    secret = _finding("a secret in the sources", rule="security/hardcoded-secret", line=2)
    shown = _written(form, replace(_report(secret, _finding("next to it", line=1))), "x = 1\nKEY = 'hunter2-hunter2'\n")
    assert "KEY" in shown
    assert "hunter2" not in shown


@given(st.text())
def test_junit_is_well_formed(text: str) -> None:
    """A CI server can parse the document and gets the counts right, whatever the sources hold."""
    findings = [_finding(text + HOSTILE), _finding(text, severity=Severity.INFO, line=2)]
    failures = [NotChecked("app/main.py", text, CLEAN)]
    root = ElementTree.fromstring(
        _written("junit", replace(_report(*findings), not_checked=[NotChecked(text, text)], failures=failures))
    )
    assert {total: root.get(total) for total in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    assert len(list(root.iter("testcase"))) == 4
    assert len(list(root.iter("failure"))) == 1


def test_junit_fails_on_what_the_run_fails_on() -> None:
    """A warning fails by default, and passes where only errors fail; a rule without findings is a passed case."""
    report = _report(_finding("message", severity=Severity.WARNING))
    assert "<failure" in _written("junit", report)
    passed = _written("junit", replace(report, fail_on=Severity.ERROR))
    assert "<failure" not in passed
    assert "warning: message" in passed
    assert CLEAN in passed
