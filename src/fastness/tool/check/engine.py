"""Runs rules over a model: gives each what its parameters ask for, and turns what it yields into findings.

A rule that fails inside is reported by its name and the file it was at; the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from fastness.tool.boot import Boot, BootedApp, Probed
from fastness.tool.check import suppressions
from fastness.tool.check.beside import Beside, Shared
from fastness.tool.check.changes import Change
from fastness.tool.check.config import Config
from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.local import Answers, Done, Kept, Known, Outcome, asked, pieces
from fastness.tool.check.progress import Step, unseen
from fastness.tool.check.rule import Found, Rule
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Documented, Finding, NotChecked, Report, Source
from fastness.tool.findings.model import in_order
from fastness.tool.project.files.project import Project
from fastness.tool.project.files.requirements import Requirements
from fastness.tool.project.flow.calls import CallGraph
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.service import Service
from fastness.tool.project.source.module import Module

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
_FEW = 50  # files; to parse so many takes as long as to start a process
# Families of which many rules ask what calls what: another process can do the others while calls are followed.
_FOLLOW_CALLS = frozenset({"concurrency", "lifespan", "observability", "persistence", "reliability", "security"})
_FOLLOWS_TOO = frozenset({"contracts/unbounded-input"})
_SOURCES: Mapping[type, Source] = {BootedApp: "boot", Served: "boot", Probed: "probe"}


def check(
    project: Project,
    config: Config,
    *,
    rules: Iterable[Rule] | None = None,
    boot: Boot | None = None,
    change: Change | None = None,
    kept: Kept | None = None,
    apart: bool = False,
    progress: Step = unseen,
) -> Report:
    """Run the rules that the configuration selects, all of them when `rules` is None.

    Args:
        boot: what booting the app gave. Rules that need it do not run without.
        change: what a pull request changes. The same.
        kept: what was said of single modules before, and gets what is said now.
        apart: share the work with other processes.
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
    parts = [part for rule in chosen for part in rule.parts]
    whole, local = [part for part in parts if not part.per_module], [part for part in parts if part.per_module]
    others = [module for module in project.modules.values() if not (module.is_service or module.path in project.faults)]
    with Beside(lambda: {module.path: module.fault() for module in others}, apart=apart and len(others) > _FEW) as unread:
        # Reads what runs in production meanwhile; what else there is mostly has to parse only.
        service.routes, project.service  # noqa: B018
        project.faults.update(unread.result())
    modules = project.readable
    known = kept.known(service, local) if kept is not None else Known()
    service.resolver.kept_heirs, service.notes.kept = known.heirs, known.notes
    apart = apart and len(parts) > 1
    following = [partial(_outcome, part, service, facts) for part in whole if _follows_calls(part)]
    rest = [partial(_outcome, part, service, facts) for part in whole if not _follows_calls(part)]
    single = [partial(_of_modules, local, service, known, some, kept is not None) for some in pieces(service, known)]
    # After an edit few files are left to ask. All of them would be read once more by a process that follows no calls.
    (rest if known.answers else following).extend(single)
    steps = len(following) + len(rest)
    # Where most calls are known, following the others is done before another process has read what it needs.
    with Shared(rest) as early, Beside(partial(_work, early, service), apart=apart and not known.notes) as aside:
        if apart and any(_follows_calls(part) for part in whole):
            reach.from_requests(service)  # so that calls are followed once and not by each process
        left: list[Callable[[], Outcome]] = [*following, *early.withdrawn()]
        with Shared(left) as late, Beside(partial(_work, late, service), apart=apart) as other:
            own = _work(late, service, lambda number: progress(steps - len(left) + number, steps))
            done = [own, other.result(), aside.result()]
    answers = Answers(known.answers, known.notes)
    for one in done:
        answers.add(one)
    project.asked.update(answers.asked)
    findings = [finding for finding in answers.findings if not config.silent(finding.rule, finding.path)]
    if kept is not None:
        kept.keep_answers(service, local, answers)
    comments = [comment for module in modules for comment in suppressions.read(module)]
    shown, covered = suppressions.apply(in_order(findings), comments)
    shown += [
        finding
        # What facts have cleared may still need its comment in a run without them.
        for finding in suppressions.complaints(comments, [rule.name for rule in chosen if boot is None or not rule.optional])
        if config.runs(finding.rule) and not config.silent(finding.rule, finding.path)
    ]
    return Report(
        findings=in_order(shown),
        not_checked=[
            *(NotChecked(path, reason) for path, reason in sorted(project.unreadable.items())),
            *([NotChecked(boot.app.target, gap) for gap in boot.gaps] if boot is not None else ()),
        ],
        failures=answers.failures,
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


def _follows_calls(rule: Rule) -> bool:
    return rule.family in _FOLLOW_CALLS or rule.name in _FOLLOWS_TOO


def _facts(service: Service, boot: Boot | None, change: Change | None) -> dict[type, object]:
    """What not every run has, None where it is missing."""
    return {**{need: None if boot is None else give(service, boot) for need, give in _BOOTED.items()}, Change: change}


def _work(shared: Shared[Outcome], service: Service, taken: Callable[[int], object] = lambda _: None) -> Done:
    """What this process does of shared work, with what it has learnt until then."""
    return Done(shared.work(taken), service.project.asked, service.notes.made)


def _outcome(rule: Rule, service: Service, facts: Mapping[type, object]) -> Outcome:
    """What a rule says about a service."""
    given = [_STATIC[need](service) if need in _STATIC else facts[need] for need in rule.needs]
    return Outcome(list(_call(rule, given, "")))


def _of_modules(rules: Sequence[Rule], service: Service, known: Known, modules: Sequence[Module], drawn: bool) -> Outcome:
    """What the rules that ask single modules say of some."""

    def ask(rule: Rule, module: Module) -> Iterator[Finding | NotChecked]:
        given = [module if need is Module else _STATIC[need](service) for need in rule.needs]
        return _call(rule, given, module.path)

    return asked(service, rules, known, modules, ask, drawn=drawn)


def _sources(boot: Boot | None) -> list[Source]:
    found: list[Source] = ["static"]
    if boot is not None:
        found += ["boot", "probe"] if boot.probed is not None else ["boot"]
    return found


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
