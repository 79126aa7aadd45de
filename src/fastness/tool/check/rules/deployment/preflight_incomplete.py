"""The facts that the service is built on are not written down.

How many replicas run, how callers prove who they are, which isolation its transactions need: pool sizes, rollouts and checks
follow from these. What `[tool.fastness]` does not say is assumed by everybody, each in another way.

Run `fastness preflight`: it detects what it can and asks for the rest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project

FACTS = (
    "persistence", "isolation", "replicas", "max_replicas", "surge", "processes", "workers", "auth", "compliance", "platform",
    "release_cadence", "sensitivity",
)  # fmt: skip
_TABLE = re.compile(r"^\[tool\.fastness\]", re.MULTILINE)


@rule(severity=Severity.INFO, practice="0.1", help="run `fastness preflight`, which detects what it can and asks for the rest")
def check(project: Project) -> Iterator[Found]:
    for path, text in project.files("pyproject.toml"):
        table = _TABLE.search(text)
        if table is None:
            continue
        try:
            stated = tomllib.loads(text)["tool"]["fastness"]
        except (tomllib.TOMLDecodeError, KeyError):
            continue
        missing = [fact for fact in FACTS if fact not in stated]
        if missing and set(FACTS) & set(stated):  # a table for one tool's options only states no facts yet
            line = delivery.Line(path, text.count("\n", 0, table.start()) + 1, "")
            yield line.found(f"[tool.fastness] does not say {', '.join(missing)}")


_COMPLETE = "\n".join(f"        {fact} = 1" for fact in FACTS)

EXAMPLES = [
    Bad("""
        # file: pyproject.toml
        [tool.fastness]  # found
        persistence = "sqlite"
        # file: app/main.py
        app = None
    """),
    Good(
        f"""
        # file: pyproject.toml
        [tool.fastness]
{_COMPLETE}
        # file: app/main.py
        app = None
    """,
        "everything is written down",
    ),
    Good(
        """
        # file: pyproject.toml
        [tool.fastness.check]
        ignore = []
        # file: app/main.py
        app = None
    """,
        "a project that only uses the checker",
    ),
    Good(
        """
        # file: pyproject.toml
        [tool.fastness]
        app = "app.main:app"
        # file: app/main.py
        app = None
    """,
        "where the app is, is no fact about how it runs",
    ),
]
