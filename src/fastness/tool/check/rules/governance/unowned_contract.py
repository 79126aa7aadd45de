"""Nobody has to look at a change of the interface or the schema.

Renaming a response field breaks clients, and dropping a column the version that still runs. Who knows those clients and that
rollout is asked only when somebody thinks of it.

Name owners of routes, schemas and migrations in `CODEOWNERS`, and require their review.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project, Service

_OWNERS = ("CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS", "OWNERS", "*/OWNERS")


@rule(severity=Severity.INFO, practice="11.5", help="name owners of routes, schemas and migrations in `CODEOWNERS`")
def check(service: Service, project: Project) -> Iterator[Found]:
    if not project.is_repository or not service.routes:
        return
    owners = list(project.glob(*_OWNERS))
    if not owners:
        wanted = delivery.framework(project)
        if wanted is not None:
            yield wanted.found(f"nobody owns the contract of {len(service.routes)} path operations: there is no CODEOWNERS")
    elif not any(re.search(r"^\s*[^#\s]\S*\s+\S*@", text, re.MULTILINE) for _, text in owners):
        path, _ = owners[0]
        yield delivery.Line(path, 1, "").found("CODEOWNERS names nobody")


EXAMPLES = [
    Bad("""
        # file: requirements.txt
        fastapi  # found
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def orders(): ...
    """),
    Good(
        """
        # file: requirements.txt
        fastapi
        # file: .github/CODEOWNERS
        * @acme/backend
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def orders(): ...
    """,
        "owners are named",
    ),
    Good(
        """
        # file: requirements.txt
        fastapi
        # file: docs/CODEOWNERS
        # the API
        /app/api/ backend@example.org
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def orders(): ...
    """,
        "owners by mail address",
    ),
    Good(
        """
        # file: requirements.txt
        fastapi
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()
    """,
        "there is no contract yet",
    ),
]
