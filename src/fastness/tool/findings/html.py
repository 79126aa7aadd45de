"""A report as one HTML page: the definition of done by section, the service map, and every finding with its code and proof.

The page holds no scripts and loads nothing, and says so to the browser; everything from the project in it is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import TextIO

from fastness.tool.findings import excerpts
from fastness.tool.findings.model import Finding, Report
from fastness.tool.findings.practices import DEFINITION_OF_DONE, Section
from fastness.tool.project import Service
from fastness.tool.project.files.project import Project
from fastness.tool.servicemap import page, svg
from fastness.tool.servicemap.survey import survey

_AROUND = 2  # lines of code before and after
_MOST_PER_RULE = 200  # of one rule; the rest is counted, and in JSON
_GOVERNANCE = 11  # the section of findings about the check's own comments
_SEEN = {"boot": "seen in the booted app", "probe": "seen in its answers"}
_STYLE = """
:root { --mark: #fff3c4; --error: #c21c2c; --warning: #9a6200; --clean: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --mark: #3a2f0b; --error: #ff7b72; --warning: #e3b341; --clean: #56d364; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 2rem 1rem 6rem;
 background: var(--back); color: var(--fore); }
h1 { margin: 0; line-height: 1.2; } h2 { margin: 3rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 .25rem; font-size: 1.05rem; } p { margin: .25rem 0; } a { color: var(--info); }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.numbers { display: flex; gap: 1rem; flex-wrap: wrap; margin: 1.5rem 0; }
.numbers div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; min-width: 7rem; }
.numbers b { display: block; font-size: 1.6rem; line-height: 1.2; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .35rem .5rem; vertical-align: top; }
tr { border-bottom: 1px solid var(--line); } tr.section th { padding-top: 1.25rem; }
td:first-child { width: 3rem; color: var(--soft); } td:last-child { width: 19rem; }
.error { color: var(--error); } .warning { color: var(--warning); }
.info { color: var(--info); } .clean { color: var(--clean); }
article { border: 1px solid var(--line); border-left: 4px solid currentColor; border-radius: .25rem; margin: .75rem 0;
 padding: .5rem 1rem .75rem; } article > * { color: var(--fore); } article .soft { color: var(--soft); }
figure { margin: .5rem 0 0; } pre { margin: 0; padding: .5rem 0; overflow-x: auto; background: var(--code);
 border-radius: .25rem; font: .85rem/1.45 ui-monospace, monospace; }
pre span { display: block; padding: 0 .75rem; min-width: max-content; } pre .at { background: var(--mark); }
pre i { display: inline-block; width: 3.5em; color: var(--soft); font-style: normal; user-select: none; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; } ol { padding-left: 1.25rem; margin: .5rem 0 0; }
"""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body>
"""
_NAVIGATION = (
    '<nav><a href="#section-done">Definition of done</a> · <a href="#section-map">Service map</a> · '
    '<a href="#section-findings">Findings</a></nav>\n'
)


def write(report: Report, project: Project, out: TextIO) -> None:
    """Write the page."""
    name = project.root.resolve().name if project.root is not None else "the project"
    title = f"Is {name} ready for production?"
    out.write(_HEAD.format(title=escape(title), style=svg.THEME + _STYLE + page.STYLE))
    out.write(f"<header><h1>{escape(title)}</h1>\n{''.join(_facts(report))}{_NAVIGATION}</header>\n<main>\n")
    out.write(f'<h2 id="section-done">Definition of done</h2>\n{"".join(_definition_of_done(report))}')
    out.write('<h2 id="section-map">Service map</h2>\n')
    out.writelines(page.section(survey(Service(project), name=name)))
    out.write('<div id="section-findings"></div>\n')
    for section in DEFINITION_OF_DONE:
        findings = [finding for finding in report.findings if _section(report, finding.rule) is section]
        out.writelines(_section_of_findings(section, findings, report, project))
    out.writelines(_not_checked(report))
    out.write("</main></body></html>\n")


def _facts(report: Report) -> Iterator[str]:
    about = f"{report.routes} path operations in {report.files} files, {report.lines} lines; {len(report.rules)} rules"
    yield f'<p class="soft">{escape(about)}</p>\n'
    if report.part:
        yield f"<p><strong>This page is about {escape(report.part)} only.</strong></p>\n"
    yield '<div class="numbers">'
    for severity, number in report.by_severity().items():
        yield f'<div class="{severity if number else "clean"}"><b>{number}</b>{severity}</div>'
    for number, word in ((len(report.known), "known from the baseline"), (report.suppressed, "allowed by comments")):
        if number:
            yield f"<div><b>{number}</b>{word}</div>"
    unchecked = len(report.not_checked) + len(report.failures)
    yield f"<div><b>{unchecked}</b>not checked</div></div>\n"


def _definition_of_done(report: Report) -> Iterator[str]:
    yield "<table>\n"
    for section in DEFINITION_OF_DONE:
        yield f'<tr class="section"><th colspan="3">{section.number} {escape(section.title)}</th></tr>\n'
        for number, practice in section.practices.items():
            state = _state(report, section, number)
            yield f"<tr><td>{number}</td><td>{escape(practice)}</td><td>{state}</td></tr>\n"
    yield "</table>\n"


def _state(report: Report, section: Section, practice: str) -> str:
    """What the rules that prove a practice say. A practice is never called clean because nobody looked."""
    rules = {name for name, documented in report.documented.items() if documented.practice == practice}
    found = [finding for finding in report.findings if finding.rule in rules]
    if found:
        worst = max((finding.severity for finding in found), key=lambda severity: severity.rank)
        many = f"{len(found)} finding{'s' if len(found) > 1 else ''}"
        return f'<a class="{worst}" href="#section-{section.number}">{many}</a>'
    known = sum(finding.rule in rules for finding in report.known)
    if known:
        return f'<span class="warning">{known} known from the baseline</span>'
    if rules & {failure.rule for failure in report.failures}:
        return '<span class="warning">not checked: a rule failed</span>'
    missing = rules - set(report.rules)
    if rules and not missing:
        return f'<span class="clean">{"nothing found" if report.part else "clean"}</span>'
    if rules and missing != rules:
        return f'<span class="clean">clean</span> <span class="soft">({len(missing)} of {len(rules)} rules did not run)</span>'
    return f'<span class="soft">{"not checked: its rules did not run" if rules else "no rule: for people to judge"}</span>'


def _section(report: Report, rule: str) -> Section:
    documented = report.documented.get(rule)
    number = int(documented.practice.partition(".")[0]) if documented is not None else _GOVERNANCE
    return next(section for section in DEFINITION_OF_DONE if section.number == number)


def _section_of_findings(section: Section, findings: list[Finding], report: Report, project: Project) -> Iterator[str]:
    if not findings:
        return
    secrets = {(one.path, one.line) for one in (*report.findings, *report.known) if one.rule == excerpts.SECRET}
    yield f'<h2 id="section-{section.number}">{section.number} {escape(section.title)}</h2>\n'
    ordered = sorted(findings, key=lambda finding: (-finding.severity.rank, finding.rule, finding.order))
    for rule, same in groupby(ordered, key=lambda finding: finding.rule):
        of_rule = list(same)
        documented = report.documented.get(rule)
        title = f"{escape(documented.title)} " if documented is not None else ""
        yield f"<h3>{title}<code>{escape(rule)}</code></h3>\n"
        if of_rule[0].help:
            practice = f" Practice {escape(documented.practice)}." if documented is not None else ""
            fix = f" {_FIXES[of_rule[0].fix.value]}" if of_rule[0].fix.value in _FIXES else ""
            explained = f"<code>fastness explain {escape(rule)}</code> tells why."
            yield f'<p class="soft">Fix: {_prose(of_rule[0].help)}.{fix}{practice} {explained}</p>\n'
        for finding in of_rule[:_MOST_PER_RULE]:
            yield from _finding(finding, secrets, project)
        if len(of_rule) > _MOST_PER_RULE:
            yield f'<p class="soft">… and {len(of_rule) - _MOST_PER_RULE} more places</p>\n'


_FIXES = {
    "safe": "<code>fastness check --fix</code> does it.",
    "review": "<code>fastness check --fix --unsafe</code> does it, for you to review.",
}


def _prose(text: str) -> str:
    """Text in which backticks mark code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _finding(finding: Finding, secrets: set[tuple[str, int]], project: Project) -> Iterator[str]:
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    seen = f", {_SEEN[finding.source]}" if finding.source in _SEEN else ""
    yield f'<article class="{finding.severity}">\n<p><strong>{escape(finding.message)}</strong>{times}</p>\n'
    yield f'<p class="soft">{finding.severity}{seen}</p>\n'
    yield from _code(project, finding.path, finding.line, _AROUND, secrets)
    if finding.evidence:
        yield "<ol>\n"
        for evidence in finding.evidence:
            yield f"<li>{escape(evidence.text)}\n"
            yield from _code(project, evidence.path, evidence.line, 0, secrets)
            yield "</li>\n"
        yield "</ol>\n"
    yield "</article>\n"


def _code(project: Project, path: str, at: int, around: int, secrets: set[tuple[str, int]]) -> Iterator[str]:
    yield f"<figure><figcaption><code>{escape(path)}:{at}</code></figcaption>"
    lines = {
        n: excerpts.line(project, path, n, secret=(path, n) in secrets) for n in range(max(1, at - around), at + around + 1)
    }
    if lines.get(at, "").strip():
        yield "<pre>"
        for number, text in _trimmed(lines, at).items():
            marked = ' class="at"' if number == at and around else ""
            yield f"<span{marked}><i>{number}</i>{escape(text[:300])}</span>"
        yield "</pre>"
    yield "</figure>\n"


def _trimmed(lines: dict[int, str], at: int) -> dict[int, str]:
    """The lines without empty ones at the ends and without the indentation that all share."""
    numbers = [number for number, text in lines.items() if text.strip()]
    kept = {number: lines[number].expandtabs(4) for number in range(min(*numbers, at), max(*numbers, at) + 1)}
    indent = min(len(text) - len(text.lstrip()) for text in kept.values() if text.strip())
    return {number: text[indent:] for number, text in kept.items()}


def _not_checked(report: Report) -> Iterator[str]:
    unchecked: Sequence[tuple[str, str]] = [
        *((one.path, one.reason) for one in report.not_checked),
        *((one.path or one.rule, f"the rule {one.rule} failed: {one.reason}") for one in report.failures),
    ]
    if unchecked:
        yield "<h2>Not checked</h2>\n<ul>\n"
        yield from (f"<li><code>{escape(path)}</code>: {escape(reason)}</li>\n" for path, reason in unchecked)
        yield "</ul>\n"
    if report.resolved:
        yield "<h2>Resolved since the baseline</h2>\n<ul>\n"
        yield from (f"<li>{escape(one)}</li>\n" for one in report.resolved)
        yield "</ul>\n"
