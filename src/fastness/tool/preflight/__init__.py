"""`fastness preflight`: detects what a project's files say, asks for the rest, writes it to `[tool.fastness]`.

It works on any FastAPI project and never runs its code. Facts that were settled before are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastness.tool import declaration
from fastness.tool.errors import FAILED, OK, CommandError, expect_directory
from fastness.tool.preflight import document
from fastness.tool.preflight.detect import Detected, Detection, detect
from fastness.tool.preflight.facts import FACTS, ISOLATION, Fact, Value


def run(directory: Path, *, defaults: bool = False, check: bool = False) -> int:
    """Settle the facts of the project in `directory`, or check that they are settled; the exit code.

    Args:
        directory: where its `pyproject.toml` stands, or would.
        defaults: ask nothing: what was detected, else the default.
        check: write nothing; exit 1 when a fact is missing, impossible or contradicted.

    Raises:
        CommandError: there is no project, its pyproject.toml is broken, or there is nobody to ask.
    """
    expect_directory(directory)
    detection = detect(directory)
    settled = declaration.read(directory).values
    if detection.empty:
        raise CommandError(f"{directory.resolve()} has no Python project: run this where its pyproject.toml or code stands")
    for what, found in detection.report:
        print(f"{what:<12} {found}")
    print()
    if check:
        return _check(settled, detection)
    if not defaults and not sys.stdin.isatty():
        raise CommandError("there is nobody to ask: use --defaults to take what was detected, or run it in a terminal")
    facts = settle(settled, detection, ask=None if defaults else _ask)
    changed = document.write(directory, facts)
    for key, value in facts.items():
        print(f"{key:<16} {_text(value)}")
    print(f"\n{'Wrote' if changed else 'Unchanged:'} [tool.fastness] in {declaration.FILE}")
    for line in problems(facts, detection):
        print(f"contradiction: {line}")
    return OK


def settle(
    settled: Mapping[str, Any], detection: Detection, *, ask: Callable[[Fact, Value, str], Value] | None
) -> dict[str, Value]:
    """A value for every fact.

    Args:
        settled: what `[tool.fastness]` holds. Possible values stay unless an answer changes them.
        detection: what the files say.
        ask: gives the answer to a fact, given the proposal and where that comes from; None takes every proposal.
    """
    facts = dict[str, Value]()
    for fact in FACTS:
        value, source = _propose(fact, settled, detection, facts)
        facts[fact.key] = value if ask is None else ask(fact, value, source)
    return facts


def problems(facts: Mapping[str, Any], detection: Detection) -> list[str]:
    """What is missing, impossible or contradicted, one line each."""
    lines = list(detection.contradictions)
    for fact in FACTS:
        if fact.key not in facts:
            lines.append(f"{fact.key} is missing: {fact.question}")
            continue
        value, detected = facts[fact.key], detection.facts.get(fact.key)
        impossible = fact.problem(value)
        if impossible:
            lines.append(f"{fact.key} = {value!r}: expected {impossible}")
        elif detected is not None and detected.contradicts(value):
            lines.append(f"{fact.key} = {value!r}, but found {_text(detected.value)} ({detected.evidence})")
    replicas, most = facts.get("replicas"), facts.get("max_replicas")
    if isinstance(replicas, int) and isinstance(most, int) and most < replicas:
        lines.append(f"max_replicas = {most} is below replicas = {replicas}")
    return lines


def _check(settled: Mapping[str, Any], detection: Detection) -> int:
    lines = problems(settled, detection)
    for line in lines:
        print(line)
    if lines:
        print(f"\n{len(lines)} to settle: run fastness preflight")
        return FAILED
    print("Every fact is settled, and the files agree.")
    return OK


def _propose(fact: Fact, settled: Mapping[str, Any], detection: Detection, facts: Mapping[str, Value]) -> tuple[Value, str]:
    if fact.key in settled and fact.problem(settled[fact.key]) is None:
        value: Value = settled[fact.key]
        return value, "as it stands"
    detected: Detected | None = detection.facts.get(fact.key)
    if fact.key == "isolation" and detected is None:
        return ISOLATION.get(str(facts["persistence"]), "read-committed"), f"the default of {facts['persistence']}"
    if detected is not None:
        return detected.value, detected.evidence
    if fact.key == "max_replicas":
        return facts["replicas"], "nothing scales"
    return fact.default, "the default"


def _ask(fact: Fact, proposal: Value, source: str) -> Value:
    print(f"{fact.question}\n  {fact.expected()}")
    while True:
        try:
            answer = input(f"  [{_text(proposal)}: {source}] ").strip()
            print()
            return fact.parse(answer) if answer else proposal
        except ValueError as error:
            print(f"  expected {error}")
        except EOFError:
            raise CommandError("the answers ended before the questions: nothing was written") from None


def _text(value: Value) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)
