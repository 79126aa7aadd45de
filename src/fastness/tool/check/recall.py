"""What was said of single files and functions, as it is kept for the next check, and what of it the edits since then leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import Any

from fastness.tool.check.local import Answer, Answers, Known, layout
from fastness.tool.check.rule import Rule
from fastness.tool.findings import Evidence, Finding, Fix, Severity
from fastness.tool.project.files.project import Project
from fastness.tool.project.kept import edits
from fastness.tool.project.kept.notes import Key, Note
from fastness.tool.project.kept.reading import CALLED, EVERYTHING, INHERITANCE
from fastness.tool.project.names.hierarchy import Heirs
from fastness.tool.project.service import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.outline import Outline


def written(service: Service, rules: Sequence[Rule], answers: Answers) -> dict[str, Any]:
    """All that holds now, as `known` reads it."""
    return {
        "layout": layout(service, rules),
        "asked": [[list(question), answer] for question, answer in sorted(answers.asked.items())],
        "digests": [service.project.digests[path] for path in service.project.modules],
        "of": {path: _written(answer) for path, answer in answers.of.items()},
        "notes": noted(answers.notes),
    }


def known(kept: Mapping[str, Any], outlines: Mapping[str, Outline], service: Service, rules: Sequence[Rule]) -> Known:
    """What still holds of what was written.

    Args:
        outlines: of the files as they were, by `named`.
    """
    project = service.project
    if kept["layout"] != layout(service, rules):
        return Known()
    if any(project.ask(*question) != answer for question, answer in kept["asked"]):
        return Known()
    # The same files in the same order, so that each has the bits that it had.
    pairs = zip(project.modules.values(), kept["digests"], strict=True)
    made = {
        module.path: _edit(project, module, outlines.get(named(module, before)))
        for module, before in pairs
        if project.digests[module.path] != before
    }
    seen = reduce(or_, (edit.seen for edit in made.values()), 0)
    answers = {path: _answer(*answer) for path, answer in kept["of"].items() if path not in made}
    disinherited = {path for path, answer in answers.items() if answer.heirs_read & (seen | EVERYTHING)}
    if disinherited or any(_heirs(kept, path) != _heirs_now(service, path) for path in made):
        seen |= INHERITANCE
    changed = reduce(or_, (project.modules[path].bit for path in made), seen)
    stale = {path: answer.stale(changed) for path, answer in answers.items()}
    return Known(answers, stale, disinherited, notes(*kept["notes"], made=made, seen=seen))


def named(module: Module, digest: str) -> str:
    """The key of a file's outline: its content, and its name, as what relative imports mean depends on that."""
    return f"{digest} {module.name}{'.' if module.is_package else ''}"


def _edit(project: Project, module: Module, before: Outline | None) -> edits.Edit:
    """What an edit changed of a module."""
    if before is None or not project.reads(module):
        return edits.Edit(module.bit | CALLED)
    return edits.compared(module, before, project.modules.values())


def _heirs(kept: Mapping[str, Any], path: str) -> Heirs | None:
    """Which classes of a file inherited from others."""
    return kept["of"][path][_HEIRS] if path in kept["of"] else None


def _heirs_now(service: Service, path: str) -> Heirs:
    return [list(one) for one in service.resolver.heirs(service.project.file(path))]  # type: ignore[misc]


def _written(answer: Answer) -> list[Any]:
    read: dict[str, list[str]] = {}  # many rules have looked into the same
    for rule, mask in answer.read.items():
        read.setdefault(f"{EVERYTHING if mask & EVERYTHING else mask:x}", []).append(rule)
    # What depends on the whole project is asked again each time.
    found = {rule: of for rule, of in answer.found.items() if not answer.read.get(rule, 0) & EVERYTHING}
    return [found, read, answer.heirs, f"{answer.heirs_read:x}"]


_HEIRS = 2  # their place in that


def _answer(found: Any, read: Any, heirs: Any, heirs_read: str) -> Answer:
    findings = {rule: [finding(one) for one in of] for rule, of in found.items()}
    masks = {rule: int(mask, 16) for mask, rules in read.items() for rule in rules}
    return Answer(findings, masks, heirs, int(heirs_read, 16))


def noted(notes: Mapping[Key, Note]) -> list[Any]:
    """Notes by file and function, each mask once, and of those that say nothing, which are most, the questions only."""
    masks: dict[int, int] = {}
    of: dict[str, dict[str, tuple[dict[str, Any], dict[int, list[str]]]]] = {}
    for (path, label, question), note in notes.items():
        position = masks.setdefault(note.mask, len(masks))
        said, nothing = of.setdefault(path, {}).setdefault(label, ({}, {}))
        if note.value:
            said[question] = [position, note.value]
        else:
            nothing.setdefault(position, []).append(question)
    return [[f"{mask:x}" for mask in masks], of]


def notes(
    masks: Sequence[str],
    of: Mapping[str, Mapping[str, Any]],
    *,
    made: Mapping[str, edits.Edit] = MappingProxyType({}),
    seen: int = 0,
) -> dict[Key, Note]:
    """What `noted` has written, as far as it holds.

    Args:
        made: the edits since then, by path.
        seen: what they changed, and what all files together tell another of now.
    """
    read = [int(mask, 16) for mask in masks]
    holds = [not (mask & seen & INHERITANCE or any(edit.reaches(mask) for edit in made.values())) for mask in read]
    empty = [Note((), mask) for mask in read]
    found: dict[Key, Note] = {}
    for path, functions in of.items():
        edit = made.get(path)
        for label, (said, nothing) in functions.items():
            if edit is not None and not edit.leaves(label):
                continue
            for question, (position, value) in said.items():
                if holds[position]:
                    found[path, label, question] = Note(value, read[position])
            for where, questions in nothing.items():
                position = int(where)
                if holds[position]:
                    found.update({(path, label, question): empty[position] for question in questions})
    return found


def finding(kept: Mapping[str, Any]) -> Finding:
    """A finding as it was written."""
    return Finding(**{
        **kept,
        "severity": Severity(kept["severity"]),
        "evidence": tuple(Evidence(**evidence) for evidence in kept["evidence"]),
        "fix": Fix(kept["fix"]),
    })  # fmt: skip
