"""Fixes copies of projects with `fastness check --fix --unsafe`: `python -m bench.check_fixes SOURCES [--rule RULE] [--diff]`.

SOURCES holds one checkout per project; nothing in it is written. Each project is fixed in memory, as the command does it, the
result is written to a copy, and the copy is read and checked again from the disk: every changed file must parse, every finding
that was corrected must be gone, and none may have come. Exits with 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import ast
import gc
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fastness.tool.check import engine, fixing
from fastness.tool.check.config import Config
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Finding, Report
from fastness.tool.project.project import Project


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


def main() -> int:
    """Fix every project, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--rule", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--project", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--diff", action="store_true", help="print what was changed")
    arguments = parser.parse_args()
    sys.setrecursionlimit(10_000)
    made, left, failed = Counter[str](), Counter[str](), 0
    for checkout in sorted(path for path in arguments.sources.iterdir() if path.is_dir()):
        if arguments.project and checkout.name not in arguments.project:
            continue
        corrected, kept, wrong = run(checkout, only=arguments.rule, diff=arguments.diff)
        made, left = made + corrected, left + kept
        failed += bool(wrong)
        print(f"{checkout.name}: {corrected.total()} corrected, {kept.total()} left", *wrong, sep="\n  ", flush=True)
        gc.collect()
    print("\ncorrected", *(f"{number:5} {rule}" for rule, number in sorted(made.items())), sep="\n  ")
    print("left", *(f"{number:5} {reason}" for reason, number in sorted(left.items())), sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
