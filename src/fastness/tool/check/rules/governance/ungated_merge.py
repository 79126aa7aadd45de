"""Nothing, or not enough, runs before a change is merged.

A pipeline that only builds and deploys ships whatever was merged; without tests, types and lint in it, each of them holds as
long as everybody remembers to run it.

Run tests, the type checker, the linter and the contract check on every pull request, and require them (`fastness check --ci`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project

_TESTS = re.compile(r"\bpytest\b|\bunittest\b|\btest(?:s|ing)?\b", re.IGNORECASE)
_TYPES = re.compile(r"\b(?:mypy|pyright|basedpyright|pyre|ty check|pytype|type-?check\w*)\b", re.IGNORECASE)
_LINT = re.compile(r"\b(?:ruff|flake8|pylint|lint(?:er|ing)?)\b", re.IGNORECASE)
# What these run stands elsewhere.
_OPAQUE = re.compile(
    r"\btox\b|\bnox\b|pre-commit|\b(?:make|just|task)\s+\w|\bhatch\s+run|scripts?/|\./\S+\.sh|\.ci/|\buses:\s*\./|workflow_call"
    r"|\bpoe\b|\bpdm run|\bdagger\b|\bearthly\b"
)


@rule(severity=Severity.INFO, practice="11.1", help="run tests, types and lint on every pull request, and require them")
def check(project: Project) -> Iterator[Found]:
    wanted = delivery.framework(project)
    pipelines = dict(project.glob(*delivery.PIPELINES))
    if wanted is None or not project.is_repository:
        return
    if not pipelines:
        yield wanted.found("no pipeline runs before a change is merged")
        return
    steps = "\n".join(line.partition(" #")[0] for text in pipelines.values() for line in text.splitlines())
    if _OPAQUE.search(steps):
        return
    kinds = {"tests": _TESTS, "types": _TYPES, "lint": _LINT}
    missing = [name for name, pattern in kinds.items() if not pattern.search(steps)]
    if missing:
        path = next(iter(pipelines))
        yield delivery.Line(path, 1, "").found(f"no pipeline checks {' or '.join(missing)} before a change is merged")


EXAMPLES = [
    Bad("""
        # file: pyproject.toml
        [project]
        dependencies = [
            "fastapi",  # found
        ]
        # file: app/main.py
        app = None
    """),
    Bad("""
        # file: requirements.txt
        fastapi
        # file: .github/workflows/deploy.yml
        on: push  # found
        jobs:
          deploy:
            steps:
              - run: docker build .
        # file: app/main.py
        app = None
    """),
    Good(
        """
        # file: requirements.txt
        fastapi
        # file: .github/workflows/ci.yml
        jobs:
          check:
            steps:
              - run: ruff check . && mypy . && pytest
        # file: app/main.py
        app = None
    """,
        "all three run",
    ),
    Good(
        """
        # file: requirements.txt
        fastapi
        # file: .gitlab-ci.yml
        check:
          script: make check
        # file: app/main.py
        app = None
    """,
        "what `make check` runs stands elsewhere",
    ),
    Good(
        """
        # file: requirements.txt
        django
        # file: app/main.py
        app = None
    """,
        "this is no FastAPI service",
    ),
]
