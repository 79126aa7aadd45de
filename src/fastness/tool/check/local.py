"""What the rules say of single modules, kept with what they looked into for it.

After an edit only those modules are asked again that looked into one whose content is another. When files came or went, when
names lead elsewhere, or when a fact about the whole project changed, all are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from fastness.tool.check.rule import Rule
from fastness.tool.findings import Finding, NotChecked
from fastness.tool.project.hierarchy import Heirs
from fastness.tool.project.module import Module
from fastness.tool.project.outline import Outline, draw
from fastness.tool.project.project import Question
from fastness.tool.project.reading import EVERYTHING, FACTS
from fastness.tool.project.service import Service

_PIECE = 20  # modules
Ask: TypeAlias = Callable[[Rule, Module], Iterable[Finding | NotChecked]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one module.

    Attributes:
        read: the modules that were looked into, as bits.
        found: what each rule found; rules that found nothing are left out.
        open: the rules whose answer depends on the whole project, so that it holds for this run only.
        heirs: its classes that inherit from the project's.
        heirs_read: what was looked into for those.
    """

    read: int
    found: Mapping[str, Sequence[Finding]]
    open: Sequence[str]
    heirs: Heirs
    heirs_read: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What some rules said.

    Attributes:
        results: of those that were asked about the whole project.
        asked: the questions about other files that were asked on the way, with digests of their answers.
        of: what was said of single modules, by path.
        outlines: of the modules that were read for the first time.
    """

    results: list[Finding | NotChecked]
    asked: Mapping[Question, str]
    of: Mapping[str, Answer] = field(default_factory=dict)
    outlines: Mapping[str, Outline] = field(default_factory=dict)


class Answers:
    """All that was said, with what is still known of single modules.

    Attributes:
        failures: what failed while somebody was asked.
    """

    def __init__(self, known: Mapping[str, Answer]) -> None:
        self.of = dict(known)
        self.asked: dict[Question, str] = {}
        self.outlines: dict[str, Outline] = {}
        self.failures: list[NotChecked] = []
        self._findings: list[Finding] = []

    def add(self, outcome: Outcome) -> None:
        """Take in what some rules said."""
        self.of.update(outcome.of)
        self.asked.update(outcome.asked)
        self.outlines.update(outcome.outlines)
        self.failures += [result for result in outcome.results if isinstance(result, NotChecked)]
        self._findings += [result for result in outcome.results if isinstance(result, Finding)]

    @property
    def findings(self) -> list[Finding]:
        """Everything that was found."""
        return [*self._findings, *(one for answer in self.of.values() for found in answer.found.values() for one in found)]


@dataclass(frozen=True, slots=True)
class Known:
    """What still holds of what was said of single modules, by path: all of it, and who inherits from whom."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    heirs: Mapping[str, Heirs] = field(default_factory=dict)


class Kept(Protocol):
    """Where answers are kept from one run to the next."""

    def known(self, service: Service, rules: Sequence[Rule]) -> Known:
        """Those that still hold."""

    def keep_answers(self, service: Service, rules: Sequence[Rule], answers: Answers) -> None:
        """Keep all that hold now."""


def pieces(service: Service, known: Mapping[str, Answer]) -> list[list[Module]]:
    """The modules that have to be asked, in pieces that are worth handing to a process."""
    left = [m for m in service.project.readable if m.path not in known or known[m.path].open]
    return [left[start : start + _PIECE] for start in range(0, len(left), _PIECE)]


def asked(
    service: Service, rules: Sequence[Rule], known: Mapping[str, Answer], modules: Sequence[Module], ask: Ask, *, drawn: bool
) -> Outcome:
    """What the rules say of some modules.

    Args:
        known: what they are known to say.
        drawn: give the outlines as well.
    """
    failures: list[Finding | NotChecked] = []
    answers = {}
    for module in modules:
        kept = known.get(module.path)
        if kept is None:
            answers[module.path] = _answer(service, rules, module, ask, failures)
        else:
            answers[module.path] = _completed(kept, rules, module, ask, failures)
    # All but tests is read for its imports at least, in whichever process.
    unknown = [m for m in modules if drawn and m.outline is None and (m.is_read or not m.is_test)]
    return Outcome(failures, service.project.asked, answers, {module.path: draw(module) for module in unknown})


def _answer(service: Service, rules: Sequence[Rule], module: Module, ask: Ask, failures: list[Finding | NotChecked]) -> Answer:
    reading = service.reading
    reading.mask = 0
    heirs = service.resolver.heirs(module)
    read = heirs_read = reading.mask
    found: dict[str, Sequence[Finding]] = {}
    open_: list[str] = []
    for rule in rules if module.is_service else ():
        reading.mask = 0
        found[rule.name] = _found(rule, module, ask, failures)
        if reading.mask & EVERYTHING:
            open_.append(rule.name)
        else:
            read |= reading.mask
    return Answer(read | module.bit, {name: of for name, of in found.items() if of}, open_, heirs, heirs_read)


def _completed(kept: Answer, rules: Sequence[Rule], module: Module, ask: Ask, failures: list[Finding | NotChecked]) -> Answer:
    again = {rule.name: _found(rule, module, ask, failures) for rule in rules if rule.name in kept.open}
    return replace(kept, found={**kept.found, **again})


def _found(rule: Rule, module: Module, ask: Ask, failures: list[Finding | NotChecked]) -> list[Finding]:
    results = list(ask(rule, module))
    failures += [result for result in results if isinstance(result, NotChecked)]
    return [result for result in results if isinstance(result, Finding)]


def layout(service: Service, rules: Iterable[Rule]) -> str:
    """A digest of what every answer depends on: which files there are, where names lead, and facts about all of them."""
    project = service.project
    faulty = sorted(path for path in project.modules if not project.reads(project.modules[path]))
    facts = [repr(fact(service)) for fact in FACTS]
    known = [list(project.modules), faulty, project.packages, facts, sorted(rule.name for rule in rules)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
