"""`fastness check` and `fastness explain` from arguments to exit code. Nothing here knows a rule or a format."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent, indent
from typing import TextIO

from fastness.tool.boot import Wanted, examine
from fastness.tool.check import baseline as known_findings
from fastness.tool.check import beside, cache, changes, engine, progress
from fastness.tool.check import config as configuration
from fastness.tool.check.rule import Good
from fastness.tool.check.rules import catalogue
from fastness.tool.errors import CANNOT_RUN, FAILED, OK, CommandError, expect_directory
from fastness.tool.findings import Report, Severity, reports
from fastness.tool.project import Project, open_project

_LARGE = 1 << 20  # characters, some 30,000 lines: a second process is felt, and somebody waits


@dataclass(frozen=True, slots=True)
class Fixes:
    """How findings are to be corrected.

    Attributes:
        unsafe: make those fixes too that a person must review.
        dry: show them only.
        sure: make them without asking at a terminal.
    """

    unsafe: bool = False
    dry: bool = False
    sure: bool = False


def run(
    directory: Path,
    *,
    form: str = "text",
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    fail_on: str | None = None,
    wanted: Wanted | None = None,
    baseline: Path | None = None,
    write_baseline: bool = False,
    since: str | None = None,
    fixes: Fixes | None = None,
    jobs: int | None = None,
    cached: bool = True,
    cache_directory: Path | None = None,
) -> int:
    """Check the project below a directory and print the report. 0 clean, 1 found, 2 could not run.

    Args:
        wanted: boot the app as well, in this way.
        baseline: the findings in this file are known; None: as configured.
        write_baseline: make what is found now the baseline.
        since: report only what lies in lines that were changed since this revision.
        fixes: correct what can be corrected, in this way.
        jobs: 1: nothing is shared with other processes; None: as it pays.
        cached: give again what was found when everything was as it is, and keep what is found.
        cache_directory: where that is kept; None: in the user's cache directory.
    """
    config = _configured(directory, select, ignore, fail_on)
    file = baseline or config.baseline
    known = _known(file, writing=write_baseline)
    change = None if since is None else changes.since(directory, since)
    project = open_project(directory)
    boot = None if wanted is None else examine(directory, wanted)
    # What booting gives and what a change is depends on more than files, and fixes are judged by what is found now.
    cached = cached and boot is None and change is None and fixes is None
    place = cache.place(directory, cache_directory) if cached else None
    kept = cache.Cache(place, project)
    report = kept.report(config)
    if report is None:
        large = sum(len(module.text) for module in project.modules.values()) > _LARGE
        apart = beside.possible() and (large if jobs is None else jobs > 1)
        with progress.bar(files=len(project.modules), wanted=large) as step:
            report = engine.check(
                project, config, boot=boot, change=change, kept=kept if place is not None else None, apart=apart, progress=step
            )
        kept.keep(config, report)
    if write_baseline and file is not None and not report.failures:
        return _write_baseline(file, known, report, project)

    def counted(report: Report, project: Project) -> Report:
        report = report if file is None else known_findings.apply(report, project, known)
        return report if change is None else changes.only(report, project, change)

    shown = counted(report, project)
    if fixes is not None and not report.failures:
        report, project = _fix(project, report, shown, config, fixes, change, out=sys.stdout if form == "text" else sys.stderr)
        shown = counted(report, project)
    reports.write(shown, form=form, project=project, out=sys.stdout)
    for failure in report.failures:
        where = f" at {failure.path}" if failure.path else ""
        print(f"fastness: rule {failure.rule} failed{where}: {failure.reason} (please report it)", file=sys.stderr)
    if report.failures:
        return CANNOT_RUN
    if shown.at_or_above(config.fail_on):
        return FAILED
    if not any(module.mentions("fastapi", "fastness") for module in project.modules.values()):
        # That nothing is found where there is nothing to look for must not pass a pipeline that names the wrong directory.
        raise CommandError(f"{directory} is no FastAPI project: no Python file there that can be read names it")
    return OK


def _known(file: Path | None, *, writing: bool) -> Counter[known_findings.Entry]:
    if file is None:
        if writing:
            raise CommandError("name the file to write: --baseline FILE, or baseline in [tool.fastness.check]")
        return Counter()
    return Counter() if writing and not file.exists() else known_findings.read(file)


def _write_baseline(file: Path, known: Counter[known_findings.Entry], report: Report, project: Project) -> int:
    now = known_findings.updated(report, project, known)
    known_findings.write(file, now)
    print(f"{file}: {now.total()} known findings ({(now - known).total()} new, {(known - now).total()} gone)")
    return OK


def _fix(  # noqa: PLR0917
    project: Project,
    report: Report,
    shown: Report,
    config: configuration.Config,
    fixes: Fixes,
    change: changes.Change | None,
    *,
    out: TextIO,
) -> tuple[Report, Project]:
    """Correct what is shown, and give what is found then."""
    from fastness.tool.check import fixing

    fixed = fixing.fix(project, report, config, catalogue(), only=shown.findings, unsafe=fixes.unsafe, change=change)
    out.writelines(fixing.diff(project, fixed.texts))
    told = (f"not fixed: {one.finding.path}:{one.finding.line} {one.finding.rule}: {one.reason}\n" for one in fixed.left)
    out.writelines(told)
    extent = f"{len(fixed.made)} findings in {len(fixed.texts)} files"
    if not fixed.made:
        out.write("nothing to fix\n\n")
        return report, project
    if fixes.dry or not (fixes.sure or _agrees(f"Fix {extent}? [y/N] ")):
        out.write(f"nothing is changed; this would fix {extent}\n\n")
        return report, project
    fixing.write(project, fixed.texts)
    out.write(f"fixed {extent}\n\n")
    return fixed.report, fixed.project


def _agrees(question: str) -> bool:
    """Asked at a terminal. A pipeline has said what it wants by calling the command."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def explain(name: str) -> int:
    """Print the documentation of one rule."""
    rule = catalogue().get(name)
    if rule is None:
        close = [known for known in catalogue() if name.rpartition("/")[2] in known]
        hint = f"did you mean {', '.join(close[:3])}?" if close else "`fastness explain --all` lists them"
        raise CommandError(f"there is no rule {name!r}: {hint}")
    print(f"{rule.name}\n{rule.title}.\n\n{rule.text}\n\nFix: {rule.help}.")
    print(f"Severity {rule.severity}, fix {rule.fix}, practice {rule.practice}.")
    for example in rule.examples:
        why = f": {example.why}" if isinstance(example, Good) and example.why else ""
        print(f"\n{type(example).__name__}{why}\n\n{indent(dedent(example.source).strip(), '    ')}")
    print(f"\nAllow one place with: # fastness: allow[{rule.name}] why it is right here")
    return OK


def names() -> int:
    """Print every rule with its severity and title."""
    for rule in catalogue().values():
        print(f"{rule.name:<45} {rule.severity:<8} {rule.title}")
    return OK


def _configured(directory: Path, select: Sequence[str], ignore: Sequence[str], fail_on: str | None) -> configuration.Config:
    expect_directory(directory)
    config = configuration.read(directory)
    for name in (*select, *ignore, *config.select, *config.ignore):
        if not any(configuration.matches(rule, [name]) for rule in (*catalogue(), *_COMMENTS)):
            raise CommandError(f"there is no rule or family {name!r}: `fastness explain --all` lists them")
    return replace(
        config,
        select=tuple(select) or config.select,
        ignore={**config.ignore, **dict.fromkeys(ignore, "named on the command line")},
        fail_on=Severity(fail_on) if fail_on else config.fail_on,
    )


_COMMENTS = ("governance/unused-suppression", "governance/unexplained-suppression")
