"""The sections of the list of practices, by the family of the rules that prove them."""

from __future__ import annotations

SECTIONS = {
    "architecture": "Architecture",
    "lifespan": "Lifespan and dependencies",
    "contracts": "Contracts",
    "concurrency": "Async, sync and background",
    "reliability": "Errors and reliability",
    "security": "Security",
    "persistence": "Persistence",
    "observability": "Observability",
    "testing": "Testing",
    "deployment": "Deployment",
    "governance": "Governance",
}


def section(rule: str) -> str:
    """The heading under which a rule's findings stand."""
    family = rule.partition("/")[0]
    return SECTIONS.get(family, family.capitalize())
