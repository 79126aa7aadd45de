"""The service runs on a version that nobody repairs any more.

A Python that has reached its end gets no security fixes, and new releases of libraries no longer install on it, so their
fixes do not arrive either. FastAPI before 0.115.3 holds Starlette below 0.40, where a form field without end fills the
memory (CVE-2024-47874).

Move to a supported Python, one step at a time, and lift the bound on FastAPI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, collapse, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project
from fastness.tool.project.files.requirements import Requirements

# The oldest Python with security fixes when this was written; https://devguide.python.org/versions
_OLDEST_PYTHON = (3, 11)
_OLDEST_FASTAPI = (0, 115, 3)
_IMAGE = re.compile(r"FROM\s+(?:--platform=\S+\s+)?\S*python\S*:(\d+)\.(\d+)", re.IGNORECASE)
_TIANGOLO = re.compile(r"FROM\s+\S*(?:uvicorn|fastapi)\S*:python(\d+)\.(\d+)", re.IGNORECASE)
_STATED = re.compile(r"^(?:python-)?(\d+)\.(\d+)")


@rule(severity=Severity.INFO, practice="0.2", help="move to a supported Python, and lift the bound on FastAPI")
def check(project: Project, requirements: Requirements) -> Iterator[Found]:
    yield from collapse(_images(project), lambda one: (one.path, one.message))
    for path, text in project.glob(".python-version", "runtime.txt"):
        matched = _STATED.match(text.strip())
        if matched and (version := (int(matched[1]), int(matched[2]))) < _OLDEST_PYTHON:
            yield delivery.Line(path, 1, text).found(f"Python {version[0]}.{version[1]} gets no security fixes")
    newest = requirements.newest("fastapi")
    if newest is not None and newest < _OLDEST_FASTAPI:
        line = delivery.stated(project, "fastapi")
        if line is not None:
            yield line.found("this FastAPI holds Starlette below 0.40, where a form field fills the memory (CVE-2024-47874)")


def _images(project: Project) -> Iterator[Found]:
    for lines in delivery.images(project).values():
        for line in lines:
            matched = _IMAGE.match(line.text) or _TIANGOLO.match(line.text)
            if matched and (version := (int(matched[1]), int(matched[2]))) < _OLDEST_PYTHON:
                yield line.found(f"Python {version[0]}.{version[1]} gets no security fixes")


EXAMPLES = [
    Bad("""
        # file: Dockerfile
        FROM --platform=linux/amd64 python:3.8-slim  # found
        RUN pip install uvicorn
        # file: requirements.txt
        fastapi==0.95.1  # found
        # file: app/main.py
        app = None
    """),
    Good(
        """
        # file: Dockerfile
        FROM python:3.13-slim
        RUN pip install uvicorn
        # file: requirements.txt
        fastapi>=0.100
        # file: app/main.py
        app = None
    """,
        "a supported Python, and a bound that lets new versions in",
    ),
    Good(
        """
        # file: Dockerfile
        FROM node:3.8
        # file: pyproject.toml
        [project]
        requires-python = ">=3.8"
        dependencies = ["fastapi>=0.95,<1"]
        # file: app/main.py
        app = None
    """,
        "another language's version, and an oldest version that is not what runs",
    ),
    Good(
        """
        # file: Dockerfile.test
        FROM python:3.8
        # file: .python-version
        3.12.1
        # file: app/main.py
        app = None
    """,
        "an image for tests of old versions",
    ),
]
