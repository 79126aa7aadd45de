"""`# fastness: allow[family/name] reason`: a person's decision at the line that it is about.

It covers findings on its own line, or on the next line when it stands alone. A reason is required, and a comment that
covers nothing is a finding, so that the decisions in the sources are the ones that still hold.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fastness.tool.check.config import matches
from fastness.tool.findings import Finding, Severity
from fastness.tool.project.source.module import Module

UNEXPLAINED = "governance/unexplained-suppression"
UNUSED = "governance/unused-suppression"
_COMMENT = re.compile(r"#\s*fastness:\s*allow\[([^\]]*)\]\s*(.*)")


@dataclass(slots=True)
class Suppression:
    """One comment.

    Attributes:
        covers: the lines that it speaks for.
    """

    path: str
    line: int
    column: int
    rules: tuple[str, ...]
    reason: str
    covers: frozenset[int]
    used: set[str] = field(default_factory=set)


def read(module: Module) -> Iterator[Suppression]:
    """The suppressions in a file."""
    if not module.mentions("fastness:"):
        return
    for line, column, text in _comments(module.text):
        matched = _COMMENT.match(text)
        if matched is None:
            continue
        alone = not module.lines[line - 1][:column].strip()
        rules = tuple(name.strip() for name in matched[1].split(",") if name.strip())
        covers = frozenset({line, line + 1} if alone else {line})
        yield Suppression(module.path, line, column + 1, rules, matched[2].strip(" -:"), covers)


def _comments(text: str) -> Iterator[tuple[int, int, str]]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):  # newer syntax: a line that looks like the comment is taken for it
        for number, line in enumerate(text.split("\n"), start=1):
            if "#" in line:
                yield number, line.index("#"), line[line.index("#") :]
        return
    for token in tokens:
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.start[1], token.string


def apply(findings: Iterable[Finding], suppressions: list[Suppression]) -> tuple[list[Finding], int]:
    """The findings that no explained suppression covers, and how many were covered. Marks what was used."""
    by_place: dict[tuple[str, int], list[Suppression]] = {}
    for suppression in suppressions:
        for line in suppression.covers:
            by_place.setdefault((suppression.path, line), []).append(suppression)
    kept, covered = [], 0
    for finding in findings:
        allowed = False
        for suppression in by_place.get((finding.path, finding.line), ()):
            names = [name for name in suppression.rules if matches(finding.rule, [name])]
            suppression.used.update(names)
            allowed = allowed or bool(names and suppression.reason)
        if allowed:
            covered += 1
        else:
            kept.append(finding)
    return kept, covered


def complaints(suppressions: Iterable[Suppression], ran: Iterable[str]) -> Iterator[Finding]:
    """Suppressions without a reason, and those that cover nothing although their rule ran."""
    ran = list(ran)
    for suppression in suppressions:
        place = (suppression.path, suppression.line, suppression.column)
        if not suppression.reason or not suppression.rules:
            message = "This suppression gives no reason, so it has no effect: allow[family/name] why it is right here"
            yield Finding(UNEXPLAINED, Severity.WARNING, *place, message)
            continue
        for name in suppression.rules:
            if name not in suppression.used and any(matches(rule, [name]) for rule in ran):
                message = f"Nothing here breaks {name} any more: remove the suppression"
                yield Finding(UNUSED, Severity.WARNING, *place, message)
