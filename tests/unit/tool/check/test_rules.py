"""Every rule against its own examples, and every rule's file against the form that rules have."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from fastness.tool.boot import Boot
from fastness.tool.check import examples
from fastness.tool.check.rule import Bad, Example, Found, Good, Rule
from fastness.tool.check.rules import catalogue
from fastness.tool.check.rules.deployment import preflight_incomplete
from fastness.tool.findings.sections import SECTIONS
from fastness.tool.preflight import facts

RULES = list(catalogue().values())
# Rules that the catalogue promises. A file that is lost takes its own examples with it, so the names stand here once more.
PROMISED = {
    "architecture": """
        fat-dependency fat-endpoint flat-route-walk import-cycle layer-violation sql-in-endpoint
        unversioned-route
    """,
    "concurrency": """
        background-task-as-job blocking-call-in-async contextvar-set-in-sync-dependency cpu-work-in-async
        event-loop-in-sync-code session-escapes-request shared-mutable-state unreferenced-task
    """,
    "contracts": """
        missing-response-model orm-entity-in-response pydantic-v1-leftover server-owned-field-in-input
        shared-input-output-model unbounded-input unreachable-route unvalidated-body
    """,
    "deployment": """
        debug-enabled missing-readiness-probe no-graceful-timeout preflight-incomplete scheduler-in-every-worker
        unpinned-dependencies unsupported-version
    """,
    "governance": """
        fix-without-test ungated-merge unowned-contract untraceable-artefact
    """,
    "lifespan": """
        deprecated-event-handler events-bypassed-by-lifespan resource-never-closed resource-outside-lifespan
        side-effect-at-import swallowed-startup-failure
    """,
    "observability": """
        missing-metrics route-without-slo unstructured-logs
    """,
    "persistence": """
        commit-after-response commit-outside-service lazy-load-in-response query-in-loop
        schema-change-at-startup session-shared-by-requests unsized-pool
    """,
    "reliability": """
        exception-text-in-response outbound-call-without-timeout returned-exception swallowed-exception
        unbounded-retry unkeyed-create unmapped-domain-error
    """,
    "security": """
        auth-fails-open cors-wildcard-with-credentials hardcoded-secret missing-body-limit
        password-echoed-in-422 secret-in-log unauthenticated-endpoint unbounded-upload unlimited-login
        unverified-jwt user-controlled-path user-controlled-url
    """,
    "testing": """
        http-in-unit-test untested-route
    """,
}
CASES = [pytest.param(r, e, id=f"{r.name}-{n}") for r in RULES for n, e in enumerate(r.examples)]


TRICKY = 3  # cases that a rule which knew less would get wrong


def agrees(rule: Rule, example: Example, boot: Boot | None) -> bool:
    """The rule finds the marked lines of an example and no others."""
    report = examples.report(rule, example, boot)
    assert not report.failures
    assert not [one for one in report.not_checked if one.path.endswith(".py")]
    return {(finding.path, finding.line) for finding in report.findings} == examples.expected(example)


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_examples(rule: Rule, example: Example, boot_sources: Callable[[Mapping[str, str]], Boot]) -> None:
    """A rule finds what its examples mark, one that finds nothing fails each bad one, and one that finds all each good one."""
    boot = boot_sources(examples.files(example)) if examples.needs_boot(rule, example) else None
    assert agrees(rule, example, boot)
    assert bool(examples.expected(example)) == isinstance(example, Bad)
    for finds in (), [Found(path, 1, 1, "") for path in examples.files(example)]:
        mutant = replace(rule, check=lambda *_, finds=finds: iter(finds), fixer=None, each=None)
        assert agrees(mutant, example, boot) == (isinstance(example, Good) and not finds)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_form(rule: Rule) -> None:
    """A rule has a family that reports know, documentation, a way out, and examples of both kinds."""
    assert rule.family in SECTIONS
    assert rule.title
    assert len(rule.text) > 80
    assert rule.help
    assert not rule.help.endswith(".")
    assert any(isinstance(example, Bad) for example in rule.examples)
    assert sum(isinstance(example, Good) for example in rule.examples) >= TRICKY


def test_the_facts_are_those_of_preflight() -> None:
    """What preflight writes is what the rule looks for."""
    assert [fact.key for fact in facts.FACTS] == list(preflight_incomplete.FACTS)


def test_no_rule_is_lost() -> None:
    """Every rule that was promised is there; new ones need no entry."""
    promised = {f"{family}/{name}" for family, names in PROMISED.items() for name in names.split()}
    assert promised <= set(catalogue())
