"""A rule's examples as projects in memory. The tests run them; `fastness explain` and the docs can show them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from textwrap import dedent

from fastness.tool.boot import Boot, BootedApp, Probed
from fastness.tool.check import engine
from fastness.tool.check.changes import Change, Changed
from fastness.tool.check.config import Config
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Example, Rule
from fastness.tool.findings import Report
from fastness.tool.project.files.project import Project

_FILE = re.compile(r"^# file: (\S+)[ \t]*\n", re.MULTILINE)
_DEFAULT = "app/main.py"


def files(example: Example) -> dict[str, str]:
    """The example's files by path."""
    return _files(example.source)


def _files(source: str) -> dict[str, str]:
    parts = _FILE.split(dedent(source).strip("\n") + "\n")
    found = {_DEFAULT: parts[0]} if parts[0].strip() else {}
    return {**found, **dict(zip(parts[1::2], parts[2::2], strict=True))}


def project(sources: Mapping[str, str]) -> Project:
    """A project of these files. What is not Python is configuration."""
    python = {path: text.encode() for path, text in sources.items() if path.endswith(".py")}
    return Project(python, files={path: text for path, text in sources.items() if not path.endswith(".py")})


def needs_boot(rule: Rule, example: Example) -> bool:
    """The example says something only when its app is booted."""
    return example.booted or any(need in (BootedApp, Served, Probed) for need in set(rule.needs) - rule.optional)


def change(example: Example) -> Change | None:
    """What the example's commits change, None when it has none."""
    if not example.commits:
        return None
    old, new = _files(example.before), _files(example.source)
    changed: dict[str, Changed] = {}
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path, "").splitlines(), new.get(path, "").splitlines()
        for kind, _, _, start, end in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
            if kind != "equal":
                one = changed.setdefault(path, Changed())
                (one.gaps.append(start) if kind == "delete" else one.lines.append((start + 1, end)))
    commits = [commit if commit.paths else replace(commit, paths=list(changed)) for commit in example.commits]
    return Change("main", changed, commits, old.get)


def report(rule: Rule, example: Example, boot: Boot | None = None) -> Report:
    """What one rule says about one example."""
    return engine.check(project(files(example)), Config(), rules=[rule], boot=boot, change=change(example))


def expected(example: Example) -> set[tuple[str, int]]:
    """The places that `# found` marks."""
    return {
        (path, number)
        for path, text in files(example).items()
        for number, line in enumerate(text.split("\n"), start=1)
        if line.rstrip().endswith("# found")
    }
