"""`fastness check` and `fastness explain` from arguments to exit code. Nothing here knows a rule or a format."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import dedent, indent

from fastness.tool.boot import Wanted, examine
from fastness.tool.check import config as configuration
from fastness.tool.check import engine
from fastness.tool.check.rule import Good
from fastness.tool.check.rules import catalogue
from fastness.tool.errors import CANNOT_RUN, FAILED, OK, CommandError
from fastness.tool.findings import Severity, reports
from fastness.tool.project.project import Project

_DEEPEST = 10_000  # nested expressions; Python's own default stops at what generated code reaches


def run(
    directory: Path,
    *,
    form: str = "text",
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    fail_on: str | None = None,
    wanted: Wanted | None = None,
) -> int:
    """Check the project below a directory and print the report. 0 clean, 1 found, 2 could not run.

    Args:
        wanted: boot the app as well, in this way.
    """
    config = _configured(directory, select, ignore, fail_on)
    gc.disable()  # the model is one large, living graph: collecting it costs a third of the time and frees nothing
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _DEEPEST))
    project = Project.at(directory)
    if not project.modules and not project.unreadable:
        raise CommandError(f"{directory} has no Python files that are its own: is this the right directory?")
    boot = None if wanted is None else examine(directory, wanted)
    report = engine.check(project, config, boot=boot)
    reports.write(report, form=form, project=project, out=sys.stdout)
    for failure in report.failures:
        where = f" at {failure.path}" if failure.path else ""
        print(f"fastness: rule {failure.rule} failed{where}: {failure.reason} (please report it)", file=sys.stderr)
    if report.failures:
        return CANNOT_RUN
    return FAILED if report.at_or_above(config.fail_on) else OK


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
    if not directory.is_dir():
        raise CommandError(f"{directory} is not a directory: name the project's root")
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
