"""Runs rules over a model: gives each what its parameters ask for, and turns what it yields into findings.

A rule that fails inside is reported by its name and the file it was at; the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from fastness.tool.check import suppressions
from fastness.tool.check.config import Config
from fastness.tool.check.rule import Found, Rule
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Finding, NotChecked, Report
from fastness.tool.findings.model import in_order
from fastness.tool.project.calls import CallGraph
from fastness.tool.project.module import Module
from fastness.tool.project.project import Project
from fastness.tool.project.requirements import Requirements
from fastness.tool.project.resolve import Resolver
from fastness.tool.project.service import Service

# What a rule can ask for. A type that needs a booted app comes beside these, and makes its rules booted rules.
_STATIC: Mapping[type, Callable[[Service], object]] = {
    Service: lambda service: service,
    Project: lambda service: service.project,
    Resolver: lambda service: service.resolver,
    CallGraph: lambda service: service.graph,
    Requirements: lambda service: service.requirements,
}
_DEEPEST = 20_000


def check(project: Project, config: Config, *, rules: Iterable[Rule] | None = None) -> Report:
    """Run the rules that the configuration selects, all of them when `rules` is None."""
    begin = time.perf_counter()
    chosen = [rule for rule in (catalogue().values() if rules is None else rules) if config.runs(rule.name)]
    service = Service(project)
    modules = project.readable
    findings: list[Finding] = []
    failures: list[NotChecked] = []
    for rule in chosen:
        for result in _run(rule, service, modules):
            if isinstance(result, NotChecked):
                failures.append(result)
            elif not config.silent(rule.name, result.path):
                findings.append(result)
    comments = [comment for module in modules for comment in suppressions.read(module)]
    kept, covered = suppressions.apply(in_order(findings), comments)
    kept += [
        finding
        for finding in suppressions.complaints(comments, [rule.name for rule in chosen])
        if config.runs(finding.rule) and not config.silent(finding.rule, finding.path)
    ]
    return Report(
        findings=in_order(kept),
        not_checked=[NotChecked(path, reason) for path, reason in sorted(project.unreadable.items())],
        failures=failures,
        files=len(modules),
        lines=sum(module.text.count("\n") for module in modules),
        routes=len(service.routes),
        suppressed=covered,
        seconds=time.perf_counter() - begin,
        rules=[rule.name for rule in chosen],
    )


def _run(rule: Rule, service: Service, modules: Sequence[Module]) -> Iterator[Finding | NotChecked]:
    if not rule.per_module:
        yield from _call(rule, [_STATIC[need](service) for need in rule.needs], "")
        return
    for module in modules:
        if module.is_service:
            yield from _call(rule, [module if need is Module else _STATIC[need](service) for need in rule.needs], module.path)


def _call(rule: Rule, inputs: Sequence[object], path: str) -> Iterator[Finding | NotChecked]:
    try:
        for result in rule.check(*inputs):
            yield _finding(rule, result)
    except Exception as error:  # noqa: BLE001 - a fault in one rule must not hide what the others find
        yield NotChecked(path, f"{type(error).__name__}: {error}", rule.name)


def _finding(rule: Rule, found: Found) -> Finding:
    return Finding(
        rule=rule.name,
        severity=found.severity or rule.severity,
        path=found.path,
        line=found.line,
        column=found.column,
        message=found.message,
        evidence=found.evidence,
        count=found.count,
        fix=rule.fix,
        help=rule.help,
    )


def collapse(found: Iterable[Found], cause: Callable[[Found], object]) -> Iterator[Found]:
    """One `Found` per cause: the first, with the count of all."""
    groups: dict[object, list[Found]] = {}
    for one in found:
        groups.setdefault(cause(one), []).append(one)
    for group in groups.values():
        yield replace(group[0], count=sum(one.count for one in group)) if len(group) > 1 else group[0]
