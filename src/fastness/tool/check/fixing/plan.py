"""Which repairs are made: those after which their findings are gone, no other one has come, and every file still parses.

All are tried together, for a second check costs as much as the first. Where that does not hold they are tried in halves, so
that one bad repair costs a few checks and not as many as there are repairs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastness.tool.check import engine
from fastness.tool.check.changes import Change
from fastness.tool.check.config import Config
from fastness.tool.check.repair import Edit, Repair
from fastness.tool.check.rule import Rule
from fastness.tool.findings import Finding, Fix, Report
from fastness.tool.project import Service
from fastness.tool.project.files.project import Project


@dataclass(frozen=True, slots=True)
class Left:
    """A finding that has a fix, and why it was not made."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """What fixing comes to.

    Attributes:
        made: the findings that were corrected.
        texts: the new text of every file that changes.
        report: what is found after it.
        project: the project after it.
    """

    made: Sequence[Finding]
    left: Sequence[Left]
    texts: Mapping[str, str]
    report: Report
    project: Project


def fix(
    project: Project,
    report: Report,
    config: Config,
    rules: Mapping[str, Rule],
    *,
    only: Sequence[Finding] | None = None,
    unsafe: bool = False,
    change: Change | None = None,
) -> Fixed:
    """Try the repairs of a report's findings. Nothing is written.

    Args:
        only: the findings to correct; None: all.
        unsafe: make those too that a person must review.
        change: what the project was checked with.
    """
    service = Service(project)
    proposed: list[_Proposal] = []
    left: list[Left] = []
    taken: set[Edit] = set()
    for finding in report.findings if only is None else only:
        rule = rules.get(finding.rule)
        if rule is None or rule.fixer is None:
            continue
        if rule.fix is Fix.REVIEW and not unsafe:
            left.append(Left(finding, _REVIEW))
            continue
        repair, reason = _repair(rule, service, finding, unsafe=unsafe)
        if repair is not None and _collide(repair, taken):
            repair, reason = None, "it meets another edit: run --fix again"
        if repair is None:
            left.append(Left(finding, reason))
        else:
            taken.update(repair.edits)
            proposed.append(_Proposal(finding, repair))
    trial = _Trial(project, report, config, [rules[name] for name in report.rules if name in rules], change)
    made = trial.settle([], proposed)
    texts, after, checked = trial.outcome(made)
    return Fixed([one.finding for one in made], [*left, *trial.refused], texts, checked, after)


_REVIEW = "it needs review: --fix --unsafe makes it"


@dataclass(frozen=True, slots=True)
class _Proposal:
    finding: Finding
    repair: Repair


def _repair(rule: Rule, service: Service, finding: Finding, *, unsafe: bool) -> tuple[Repair | None, str]:
    module = service.project.modules.get(finding.path)
    if rule.fixer is None or module is None:
        return None, "it is not in a Python file"
    try:
        ast.parse(module.text)
    except (SyntaxError, ValueError):
        return None, "the file uses syntax that is newer than the Python that runs this check"
    try:
        repair = rule.fixer(service, finding)
    except Exception as error:  # noqa: BLE001 - a fault in one rule must not end the others' work
        repair = f"the rule's fix failed: {type(error).__name__}: {error} (please report it)"
    if not isinstance(repair, Repair):
        return None, repair or "it cannot be told here what would be right"
    return (None, _REVIEW) if repair.review and not unsafe else (repair, "")


def _collide(repair: Repair, taken: set[Edit]) -> bool:
    """The repair changes a range that another one changes differently. Insertions at one place do not collide."""
    for edit in repair.edits:
        if edit in taken:
            continue
        for other in taken:
            if edit.path == other.path and edit.start < other.end and other.start < edit.end:
                return True
            inside = edit.start < other.start < edit.end or other.start < edit.start < other.end
            if edit.path == other.path and inside:
                return True
    return False


class _Trial:
    """The project as it would be with some repairs, checked in memory."""

    def __init__(self, project: Project, report: Report, config: Config, rules: Sequence[Rule], change: Change | None) -> None:
        self._project = project
        self._before = Counter(map(_key, report.findings))
        self._report = report
        self._config = config
        self._rules = rules
        self._change = change
        self._last: tuple[list[_Proposal], tuple[dict[str, str], Project, Report]] = ([], ({}, project, report))
        self.refused: list[Left] = []

    def settle(self, base: list[_Proposal], more: list[_Proposal]) -> list[_Proposal]:
        """The repairs of `base`, which are right, and those of `more` that are right with them."""
        if not more:
            return base
        reason = self._wrong([*base, *more])
        if reason is None:
            return [*base, *more]
        if len(more) == 1:
            self.refused.append(Left(more[0].finding, reason))
            return base
        half = len(more) // 2
        return self.settle(self.settle(base, more[:half]), more[half:])

    def outcome(self, made: list[_Proposal]) -> tuple[dict[str, str], Project, Report]:
        """The texts of the files that change, the project with them, and what is found in it."""
        if self._last[0] != made:
            texts = self._texts(made)
            project = self._project.changed(texts)
            report = engine.check(project, self._config, rules=self._rules, change=self._change)
            self._last = (list(made), (texts, project, report))
        return self._last[1]

    def _texts(self, made: Sequence[_Proposal]) -> dict[str, str]:
        edits = sorted({edit for one in made for edit in one.repair.edits}, key=_in_order)
        paths = dict.fromkeys(edit.path for edit in edits)
        return {path: _edited(self._project.modules[path].text, [e for e in edits if e.path == path]) for path in paths}

    def _wrong(self, made: list[_Proposal]) -> str | None:
        """What is wrong with the project after these repairs, None when it is only better."""
        for path, text in self._texts(made).items():
            try:
                compile(text, path, "exec", dont_inherit=True, flags=ast.PyCF_ONLY_AST)
            except (SyntaxError, ValueError, RecursionError):
                return f"{path} would not parse any more"
        _, _, report = self.outcome(made)
        if report.failures:
            return f"the rule {report.failures[0].rule} failed on the result"
        edits = {edit for one in made for edit in one.repair.edits}
        lines = _Lines(self._project, edits)
        corrected = Counter((one.finding.rule, one.finding.path, one.finding.line) for one in made)
        allowed = self._before - corrected
        found = [(f, (f.rule, f.path, lines.before(f.path, f.line))) for f in report.findings]
        keys = Counter(key for _, key in found)
        new, lost = keys - allowed, allowed - keys
        gone = Counter((finding.rule, finding.count) for finding in self._report.findings if _key(finding) in lost)
        for finding, key in found:
            if key not in new:
                continue
            rule, path, line = key
            if key in corrected:
                return f"{rule} would still be found"
            if finding.count > 1 and gone[rule, finding.count]:
                gone[rule, finding.count] -= 1  # one cause in several places: another of them has become the first
                continue
            return f"{rule} would be found in {path}, near line {line}"
        return None


def _key(finding: Finding) -> tuple[str, str, int]:
    return finding.rule, finding.path, finding.line


class _Lines:
    """The line that a line of an edited file was before."""

    def __init__(self, project: Project, edits: set[Edit]) -> None:
        self._shifts: dict[str, list[tuple[int, int, int, int]]] = {}
        for edit in sorted(edits, key=_in_order):
            text = project.modules[edit.path].text
            first = text.count("\n", 0, edit.start) + 1
            removed = text.count("\n", edit.start, edit.end)
            origin = text.count("\n", 0, edit.origin) + 1 if edit.origin >= 0 else 0
            self._shifts.setdefault(edit.path, []).append((first, removed, edit.text.count("\n"), origin))

    def before(self, path: str, line: int) -> int:
        moved = 0  # lines that the edits so far have added
        for first, removed, added, origin in self._shifts.get(path, ()):
            start = first + moved
            if line <= start:
                break
            if line <= start + added:
                if origin:  # text that has moved: its first line is empty
                    return origin + line - start - 1
                return first + min(line - start, removed)
            moved += added - removed
        return line - moved


def _edited(text: str, edits: Sequence[Edit]) -> str:
    pieces, position = [], 0
    for edit in edits:
        pieces += [text[position : edit.start], edit.text]
        position = max(position, edit.end)
    return "".join([*pieces, text[position:]])


def _in_order(edit: Edit) -> tuple[str, int, int, int, str]:
    """By place; of insertions at one place the one that begins a new paragraph last."""
    return edit.path, edit.start, edit.end, len(edit.text) - len(edit.text.lstrip("\n")), edit.text
