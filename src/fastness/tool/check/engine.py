"""Runs rules over a model: gives each what its parameters ask for, and turns what it yields into findings.

A rule that fails inside is reported by its name and the file it was at; the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from fastness.tool.boot import Boot, BootedApp, Probed
from fastness.tool.check import suppressions
from fastness.tool.check.beside import Beside
from fastness.tool.check.changes import Change
from fastness.tool.check.config import Config
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.progress import Step, unseen
from fastness.tool.check.rule import Found, Rule
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Documented, Finding, NotChecked, Report, Source
from fastness.tool.findings.model import in_order
from fastness.tool.project.calls import CallGraph
from fastness.tool.project.module import Module
from fastness.tool.project.project import Project, Question
from fastness.tool.project.requirements import Requirements
from fastness.tool.project.resolve import Resolver
from fastness.tool.project.service import Service

# What a rule can ask for: what the sources say, and what a booted app and a probed one say.
_STATIC: Mapping[type, Callable[[Service], object]] = {
    Service: lambda service: service,
    Project: lambda service: service.project,
    Resolver: lambda service: service.resolver,
    CallGraph: lambda service: service.graph,
    Requirements: lambda service: service.requirements,
}
_BOOTED: Mapping[type, Callable[[Service, Boot], object]] = {
    BootedApp: lambda _, boot: boot.app,
    Served: lambda service, boot: Served(service, boot.app),
    Probed: lambda _, boot: boot.probed if boot.probed is not None and boot.probed.host is not None else None,
}
_SOURCES: Mapping[type, Source] = {BootedApp: "boot", Served: "boot", Probed: "probe"}

# These families take about half of the time of all. Each half asks a model of its own, in one process or in two: what it
# finds does not depend on who else asks what.
_SECOND = frozenset({"architecture", "concurrency", "persistence"})


def check(
    project: Project,
    config: Config,
    *,
    rules: Iterable[Rule] | None = None,
    boot: Boot | None = None,
    change: Change | None = None,
    apart: bool = False,
    progress: Step = unseen,
) -> Report:
    """Run the rules that the configuration selects, all of them when `rules` is None.

    Args:
        boot: what booting the app gave. Rules that need it do not run without.
        change: what a pull request changes. The same.
        apart: share the work with a second process.
        progress: is told how far the rules of this process are.
    """
    begin = time.perf_counter()
    service = Service(project)
    facts = _facts(service, boot, change)
    chosen = [
        rule
        for rule in (catalogue().values() if rules is None else rules)
        if config.runs(rule.name) and all(facts.get(need, rule) is not None or need in rule.optional for need in rule.needs)
    ]
    others = [module for module in project.modules.values() if not (module.is_service or module.path in project.faults)]
    with Beside(lambda: {module.path: module.fault() for module in others}, apart=apart and bool(others)) as unread:
        service.routes  # noqa: B018 - reads what runs in production meanwhile; what else there is mostly has to parse only
        project.faults.update(unread.result())
    modules = project.readable
    first = [rule for rule in chosen if rule.family not in _SECOND]
    second = [rule for rule in chosen if rule.family in _SECOND]
    shared = apart and bool(first and second)
    done, total = count(), len(first if shared else chosen)

    def step() -> None:
        progress(next(done), total)

    there = _silent if shared else step  # a second process has no say on the terminal
    with Beside(lambda: _outcome(second, service, config, boot, change, there), apart=shared) as half:
        outcomes = [_outcome(first, service, config, boot, change, step), half.result()]
    for outcome in outcomes:
        project.asked.update(outcome.asked)
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    comments = [comment for module in modules for comment in suppressions.read(module)]
    kept, covered = suppressions.apply(in_order(findings), comments)
    kept += [
        finding
        # What facts have cleared may still need its comment in a run without them.
        for finding in suppressions.complaints(comments, [rule.name for rule in chosen if boot is None or not rule.optional])
        if config.runs(finding.rule) and not config.silent(finding.rule, finding.path)
    ]
    return Report(
        findings=in_order(kept),
        not_checked=[
            *(NotChecked(path, reason) for path, reason in sorted(project.unreadable.items())),
            *([NotChecked(boot.app.target, gap) for gap in boot.gaps] if boot is not None else ()),
        ],
        failures=[failure for outcome in outcomes for failure in outcome.failures],
        files=len(modules),
        lines=sum(module.text.count("\n") for module in modules),
        routes=len(service.routes),
        suppressed=covered,
        seconds=time.perf_counter() - begin,
        rules=[rule.name for rule in chosen],
        sources=_sources(boot),
        fail_on=config.fail_on,
        documented={rule.name: Documented(rule.practice, rule.title) for rule in catalogue().values()},
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    findings: list[Finding]
    failures: list[NotChecked]
    asked: dict[Question, str]


def _silent() -> None: ...


def _facts(service: Service, boot: Boot | None, change: Change | None) -> dict[type, object]:
    """What not every run has, None where it is missing."""
    return {**{need: None if boot is None else give(service, boot) for need, give in _BOOTED.items()}, Change: change}


def _outcome(  # noqa: PLR0917
    rules: Iterable[Rule],
    service: Service,
    config: Config,
    boot: Boot | None,
    change: Change | None,
    step: Callable[[], object],
) -> _Outcome:
    """What some rules say about a service."""
    facts = _facts(service, boot, change)
    outcome = _Outcome([], [], service.project.asked)
    for rule in rules:
        step()
        for result in _run(rule, service, facts):
            if isinstance(result, NotChecked):
                outcome.failures.append(result)
            elif not config.silent(rule.name, result.path):
                outcome.findings.append(result)
    return outcome


def _sources(boot: Boot | None) -> list[Source]:
    found: list[Source] = ["static"]
    if boot is not None:
        found += ["boot", "probe"] if boot.probed is not None else ["boot"]
    return found


def _run(rule: Rule, service: Service, facts: Mapping[type, object]) -> Iterator[Finding | NotChecked]:
    def give(need: type, module: Module | None) -> object:
        if need is Module:
            return module
        return _STATIC[need](service) if need in _STATIC else facts[need]

    if not rule.per_module:
        yield from _call(rule, [give(need, None) for need in rule.needs], "")
        return
    for module in service.project.service:
        yield from _call(rule, [give(need, module) for need in rule.needs], module.path)


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
        source=found.source or _source(rule),
        fix=rule.fix,
        help=rule.help,
    )


def _source(rule: Rule) -> Source:
    needed = {_SOURCES[need] for need in rule.needs if need in _SOURCES and need not in rule.optional}
    return "probe" if "probe" in needed else "boot" if needed else "static"
