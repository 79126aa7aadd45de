"""Fixes copies of projects with `fastness check --fix --unsafe`: `scripts/bench fixes --sources DIR`.

DIR holds one checkout per project; nothing in it is written. Each project is fixed in memory, as the command does it, the
result is written to a copy, and the copy is read and checked again from the disk: every changed file must parse, every finding
that was corrected must be gone, and none may have come.

Over the 18 projects of the labels, at their commits, 1562 findings of ten rules were corrected, 251 were left to a person with
a reason, and nothing was wrong. That takes 7 minutes of one processor.
"""

from __future__ import annotations

import ast
import gc
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastness.tool.check import engine, fixing
from fastness.tool.check.config import Config
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Finding, Report
from fastness.tool.project.files.project import Project


def run(checkout: Path, *, only: Sequence[str], diff: bool) -> tuple[Counter[str], Counter[str], list[str]]:
    """What was corrected, what was left and why, by rule, and what is wrong with the result."""
    project = Project.at(checkout)
    before = engine.check(project, Config())
    chosen = [finding for finding in before.findings if not only or finding.rule in only]
    fixed = fixing.fix(project, before, Config(), catalogue(), only=chosen, unsafe=True)
    if diff:
        sys.stdout.writelines(fixing.diff(project, fixed.texts))
    made = Counter(finding.rule for finding in fixed.made)
    left = Counter(f"{one.finding.rule}: {one.reason.partition(', near')[0]}" for one in fixed.left)
    return made, left, _wrong(checkout, project, before, fixed) if fixed.texts else []


def _wrong(checkout: Path, project: Project, before: Report, fixed: fixing.Fixed) -> list[str]:
    """The promise of `--fix`, looked at from outside: by rule and place of what is found in a copy on the disk."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, checkout.name)
        shutil.copytree(checkout, copy, symlinks=True)
        there = Project.at(copy)
        fixing.write(there, fixed.texts)
        wrong = []
        for path, text in fixed.texts.items():
            written = (copy / path).read_bytes().decode()
            if written.replace("\r\n", "\n") != text:
                wrong.append(f"{path} was not written as it was shown")
            try:
                ast.parse(written)
            except SyntaxError as error:
                wrong.append(f"{path} does not parse: {error}")
        after = engine.check(Project.at(copy), Config())
    more = _weights(after.findings) - _weights(before.findings)
    wrong += [f"{number} more findings of {rule} in {path}" for (rule, path), number in more.items()]
    less = sum(_weights(before.findings).values()) - sum(_weights(after.findings).values())
    if less < len(fixed.made):
        wrong.append(f"{len(fixed.made)} were corrected, and {less} are gone")
    return wrong


def _weights(findings: Sequence[Finding]) -> Counter[tuple[str, str]]:
    """How many findings of each rule each file has. A finding for several places may change its file, so its rule counts."""
    return Counter((finding.rule, finding.path if finding.count == 1 else "several files") for finding in findings)


def measure(sources: Path, *, rules: Sequence[str] = (), projects: Sequence[str] = (), diff: bool = False) -> dict[str, Any]:
    """What was corrected and what was left, by rule, and what is wrong with the result, by project.

    Args:
        rules: only findings of these.
        projects: only these directories of `sources`.
        diff: print what is changed.
    """
    sys.setrecursionlimit(10_000)
    made, left, wrong = Counter[str](), Counter[str](), dict[str, list[str]]()
    for checkout in sorted(path for path in sources.iterdir() if path.is_dir()):
        if projects and checkout.name not in projects:
            continue
        corrected, kept, faults = run(checkout, only=rules, diff=diff)
        made, left = made + corrected, left + kept
        if faults:
            wrong[checkout.name] = faults
        print(f"{checkout.name}: {corrected.total()} corrected, {kept.total()} left", file=sys.stderr, flush=True)
        gc.collect()
    return {"corrected": dict(sorted(made.items())), "left": dict(sorted(left.items())), "wrong": wrong}


def failures(figures: dict[str, Any]) -> list[str]:
    """Every broken promise."""
    return [f"{project}: {fault}" for project, faults in figures["wrong"].items() for fault in faults]
