"""The same commit does not install the same service twice.

Without a lock every build takes what was newest that minute: a rollback installs something new, two replicas differ, and
what was tested is not what runs. A release that was taken over by somebody is in production within the hour.

Lock all dependencies, indirect ones too, with hashes (`uv lock`, `pip-compile --generate-hashes`), and install from the lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "pylock.toml", "requirements.lock")
_FILES = tuple(f"{where}*requirements*{end}" for where in ("", "*/", "*/*/") for end in (".txt", "/*.txt", ".lock", "/*.lock"))
_FREE = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?!.*===?)(?:[<>~!;]|$)")


@rule(severity=Severity.INFO, practice="0.2", help="lock every dependency with its hash, and install from the lock")
def check(project: Project) -> Iterator[Found]:
    wanted = delivery.framework(project)
    if wanted is None or any(True for _ in project.files(*_LOCKS)):
        return
    free: list[delivery.Line] = []
    for path, text in project.glob(*_FILES):
        lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
        unpinned = [number for number, line in enumerate(lines, 1) if _FREE.match(line)]
        if any("==" in line for line in lines) and not unpinned:
            return  # at least one file of exact versions
        free += [delivery.Line(path, number, lines[number - 1]) for number in unpinned]
    first = next((line for line in free if line.path == wanted.path), wanted)
    names = ", ".join(dict.fromkeys(re.split(r"[<>~!;\[ ]", line.text)[0] for line in free if line.path == first.path))
    yield first.found(f"no lock says which versions are installed{f': {names[:100]}' if names else ''}")


EXAMPLES = [
    Bad("""
        # file: requirements.txt
        uvicorn==0.30.0
        fastapi>=0.100  # found
        httpx
        # file: app/main.py
        app = None
    """),
    Bad("""
        # file: pyproject.toml
        [project]
        dependencies = [
            "fastapi>=0.100",  # found
        ]
        # file: app/main.py
        app = None
    """),
    Good(
        """
        # file: pyproject.toml
        [project]
        dependencies = ["fastapi>=0.100"]
        # file: uv.lock
        version = 1
        # file: app/main.py
        app = None
    """,
        "a lock stands beside the ranges",
    ),
    Good(
        """
        # file: requirements.in
        fastapi
        # file: requirements.txt
        # made by pip-compile
        fastapi==0.115.0
            # via -r requirements.in
        pydantic[email]==2.9.2 ; python_version >= "3.8"
        # file: app/main.py
        app = None
    """,
        "exact versions are made from the ranges",
    ),
    Good(
        """
        # file: requirements.txt
        django
        # file: app/main.py
        app = None
    """,
        "no FastAPI is installed here",
    ),
]
