"""Every rule against its own examples, and every rule's file against the form that rules have."""

from collections.abc import Callable, Mapping

import pytest

from fastness.tool.boot import Boot
from fastness.tool.check import examples
from fastness.tool.check.rule import Bad, Example, Good, Rule
from fastness.tool.check.rules import catalogue
from fastness.tool.check.rules.deployment import preflight_incomplete
from fastness.tool.findings.sections import SECTIONS
from fastness.tool.preflight import facts

RULES = list(catalogue().values())
CASES = [pytest.param(r, e, id=f"{r.name}-{n}") for r in RULES for n, e in enumerate(r.examples)]


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_examples(rule: Rule, example: Example, boot_sources: Callable[[Mapping[str, str]], Boot]) -> None:
    """A rule finds the marked lines of its examples and no others."""
    boot = boot_sources(examples.files(example)) if examples.needs_boot(rule, example) else None
    report = examples.report(rule, example, boot)
    assert not report.failures
    assert not [one for one in report.not_checked if one.path.endswith(".py")]
    found = {(finding.path, finding.line) for finding in report.findings}
    assert found == examples.expected(example)
    assert bool(found) == isinstance(example, Bad)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_form(rule: Rule) -> None:
    """A rule has a family that reports know, documentation, a way out, and examples of both kinds."""
    assert rule.family in SECTIONS
    assert rule.title
    assert len(rule.text) > 80
    assert rule.help
    assert not rule.help.endswith(".")
    assert any(isinstance(example, Bad) for example in rule.examples)
    assert any(isinstance(example, Good) for example in rule.examples)


def test_the_facts_are_those_of_preflight() -> None:
    """What preflight writes is what the rule looks for."""
    assert [fact.key for fact in facts.FACTS] == list(preflight_incomplete.FACTS)
