"""What the rules say of single modules, kept with what they looked into for it.

After an edit a rule is asked again only about modules for which it looked into one whose content is another. When files came or
went, when names lead elsewhere, or when a fact about the whole project changed, all are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from fastness.tool.check.rule import Rule
from fastness.tool.findings import Finding, NotChecked
from fastness.tool.project.files.others import Question
from fastness.tool.project.kept.notes import Key, Note
from fastness.tool.project.kept.reading import EVERYTHING, FACTS
from fastness.tool.project.names.hierarchy import Heirs
from fastness.tool.project.service import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.outline import Outline, draw

_PIECE = 20  # modules
_T = TypeVar("_T")
Ask: TypeAlias = Callable[[Rule, Module], Iterable[Finding | NotChecked]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one module.

    Attributes:
        found: what each rule found; rules that found nothing are left out.
        read: the modules that each rule looked into besides, as bits; rules that looked into none are left out.
        heirs: its classes that inherit from the project's.
        heirs_read: what was looked into for those.
    """

    found: Mapping[str, Sequence[Finding]]
    read: Mapping[str, int]
    heirs: Heirs
    heirs_read: int

    def stale(self, changed: int) -> list[str]:
        """The rules that have to be asked again when these modules have changed, or that depend on the whole project."""
        return [rule for rule, mask in self.read.items() if mask & (changed | EVERYTHING)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What some rules said.

    Attributes:
        results: of those that were asked about the whole project.
        of: what was said of single modules, by path.
        outlines: of the modules that were read for the first time.
    """

    results: list[Finding | NotChecked]
    of: Mapping[str, Answer] = field(default_factory=dict)
    outlines: Mapping[str, Outline] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What one process has done.

    Attributes:
        asked: the questions about other files that were asked on the way, with digests of their answers.
        notes: what was found out about single functions.
    """

    outcomes: Sequence[Outcome]
    asked: Mapping[Question, str]
    notes: Mapping[Key, Note]


class Answers:
    """All that was said, with what is still known of single modules.

    Attributes:
        failures: what failed while somebody was asked.
    """

    def __init__(self, known: Mapping[str, Answer], notes: Mapping[Key, Note]) -> None:
        self.of = dict(known)
        self.asked: dict[Question, str] = {}
        self.outlines: dict[str, Outline] = {}
        self.notes = dict(notes)
        self.failures: list[NotChecked] = []
        self._findings: list[Finding] = []

    def add(self, done: Done) -> None:
        """Take in what a process has done."""
        self.asked.update(done.asked)
        self.notes.update(done.notes)
        for outcome in done.outcomes:
            self.of.update(outcome.of)
            self.outlines.update(outcome.outlines)
            self.failures += [result for result in outcome.results if isinstance(result, NotChecked)]
            self._findings += [result for result in outcome.results if isinstance(result, Finding)]

    @property
    def findings(self) -> list[Finding]:
        """Everything that was found."""
        return [*self._findings, *(one for answer in self.of.values() for found in answer.found.values() for one in found)]


@dataclass(frozen=True, slots=True)
class Known:
    """What was said before of the modules that are as they were, by path, and what of it has to be asked again.

    Attributes:
        stale: the rules that do not hold any more.
        disinherited: the modules of which it may be another who inherits from whom.
        notes: what was found out about single functions, as far as it holds.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    stale: Mapping[str, Collection[str]] = field(default_factory=dict)
    disinherited: Collection[str] = ()
    notes: Mapping[Key, Note] = field(default_factory=dict)

    @property
    def heirs(self) -> dict[str, Heirs]:
        """Who inherits from whom, of the modules of which that holds."""
        return {path: answer.heirs for path, answer in self.answers.items() if path not in self.disinherited}

    def holds(self, module: Module) -> bool:
        """Nothing has to be asked again."""
        return module.path in self.answers and not self.stale.get(module.path) and module.path not in self.disinherited


class Kept(Protocol):
    """Where answers are kept from one run to the next."""

    def known(self, service: Service, rules: Sequence[Rule]) -> Known:
        """Those that still hold."""

    def keep_answers(self, service: Service, rules: Sequence[Rule], answers: Answers) -> None:
        """Keep all that hold now."""


def pieces(service: Service, known: Known) -> list[list[Module]]:
    """The modules that have to be asked, in pieces that are worth handing to a process."""
    left = [module for module in service.project.readable if not known.holds(module)]
    return [left[start : start + _PIECE] for start in range(0, len(left), _PIECE)]


def asked(
    service: Service, rules: Sequence[Rule], known: Known, modules: Sequence[Module], ask: Ask, *, drawn: bool
) -> Outcome:
    """What the rules say of some modules.

    Args:
        known: what they are known to say.
        drawn: give the outlines as well.
    """
    failures: list[Finding | NotChecked] = []
    answers = {module.path: _answer(service, rules, known, module, ask, failures) for module in modules}
    # All but tests is read for its imports at least, in whichever process.
    unknown = [m for m in modules if drawn and m.outline is None and (m.is_read or not m.is_test)]
    outlines = {module.path: draw(module) for module in unknown}
    return Outcome(failures, answers, outlines)


def _answer(  # noqa: PLR0917
    service: Service, rules: Sequence[Rule], known: Known, module: Module, ask: Ask, failures: list[Finding | NotChecked]
) -> Answer:
    reading, kept = service.reading, known.answers.get(module.path)
    if kept is None or module.path in known.disinherited:
        reading.mask = 0
        heirs, heirs_read = service.resolver.heirs(module), reading.mask
    else:
        heirs, heirs_read = kept.heirs, kept.heirs_read
    found, read = (dict(kept.found), dict(kept.read)) if kept is not None else ({}, {})
    for rule in rules if module.is_service else ():
        if kept is None or rule.name in known.stale[module.path]:
            reading.mask = 0
            found[rule.name] = _found(rule, module, ask, failures)
            read[rule.name] = reading.mask & ~(module.bit | module.inner_bit)
    return Answer(_not_empty(found), _not_empty(read), heirs, heirs_read)


def _not_empty(of: Mapping[str, _T]) -> dict[str, _T]:
    return {rule: what for rule, what in of.items() if what}


def _found(rule: Rule, module: Module, ask: Ask, failures: list[Finding | NotChecked]) -> list[Finding]:
    results = list(ask(rule, module))
    failures += [result for result in results if isinstance(result, NotChecked)]
    return [result for result in results if isinstance(result, Finding)]


def layout(service: Service, rules: Iterable[Rule]) -> str:
    """A digest of what every answer depends on: which files there are, where names lead, and facts about all of them."""
    project = service.project
    faulty = sorted(path for path in project.modules if not project.reads(project.modules[path]))
    facts = [repr(fact(service)) for fact in FACTS]
    served = [module.path for module in project.modules.values() if module.is_imported]
    known = [list(project.modules), faulty, served, project.packages, facts, sorted(rule.name for rule in rules)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
