"""Draws findings of `fastness check` to be read by a person: `python -m bench.check_sample SOURCES --seed 1`.

SOURCES holds one checkout per project, named owner+name. The draw is uniform over all findings of severity error and warning,
except that no rule fills the sample and no project does: a finding is passed over once its rule or its project has enough.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

COUNT = 60
OF_ONE_RULE = 4
OF_ONE_PROJECT = 8


@dataclass(frozen=True, order=True, slots=True)
class Drawn:
    """One finding to be read."""

    project: str
    path: str
    line: int
    rule: str
    severity: str
    message: str


def findings(sources: Path) -> Iterator[Drawn]:
    """Every error and warning in every checkout, in a stable order."""
    for checkout in sorted(path for path in sources.iterdir() if path.is_dir()):
        command = [sys.executable, "-m", "fastness.tool", "check", "--static", "--format", "json", str(checkout)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        for one in json.loads(run.stdout)["findings"]:
            if one["severity"] in {"error", "warning"}:
                project = checkout.name.replace("+", "/", 1)
                yield Drawn(project, one["path"], one["line"], one["rule"], one["severity"], one["message"])


def draw(found: Iterable[Drawn], seed: int) -> list[Drawn]:
    """The sample of a seed."""
    order = sorted(found)
    random.Random(seed).shuffle(order)
    rules: Counter[str] = Counter()
    projects: Counter[str] = Counter()
    sample: list[Drawn] = []
    for one in order:
        if len(sample) < COUNT and rules[one.rule] < OF_ONE_RULE and projects[one.project] < OF_ONE_PROJECT:
            rules[one.rule] += 1
            projects[one.project] += 1
            sample.append(one)
    return sorted(sample, key=lambda one: (one.rule, one))


def main() -> None:
    """Print the sample as the rows of a table whose verdicts are to be filled in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("| project | rule | place | verdict | why |\n| --- | --- | --- | --- | --- |")
    for one in draw(findings(arguments.sources), arguments.seed):
        print(f"| {one.project} | {one.rule} | {one.path}:{one.line} |  | {one.message} |")


if __name__ == "__main__":
    main()
