"""Nobody can tell what an image was built from.

A base image that is named by its tag is another one next week: a rebuild of the same commit ships another system, and an
advisory cannot be answered with yes or no.

Name the base by its digest (`python:3.13-slim@sha256:...`), which a bot keeps up to date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, collapse, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project

_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)


@rule(severity=Severity.INFO, practice="11.4", help="name the base image by its digest")
def check(project: Project) -> Iterator[Found]:
    for lines in delivery.images(project).values():
        yield from collapse(_by_tag(lines), lambda one: one.path)


def _by_tag(lines: list[delivery.Line]) -> Iterator[Found]:
    stages: set[str] = set()
    for line in lines:
        matched = _FROM.match(line.text)
        if matched is None:
            continue
        image = matched[1]
        if "@sha256:" not in image and image not in stages and image != "scratch" and "$" not in image:
            yield line.found(f"{image} is another image next week")
        stages.add(matched[2] or "")


EXAMPLES = [
    Bad("""
        # file: Dockerfile
        FROM python:3.13-slim AS build  # found
        RUN pip install .
        FROM build
        # file: app/main.py
        app = None
    """),
    Good(
        """
        # file: Dockerfile
        FROM --platform=$BUILDPLATFORM python:3.13-slim@sha256:0123456789abcdef AS build
        RUN pip install .
        FROM scratch
        COPY --from=build / /
        # file: app/main.py
        app = None
    """,
        "a digest, and a base that is empty",
    ),
    Good(
        """
        # file: Dockerfile
        ARG BASE=python:3.13@sha256:0123456789abcdef
        FROM ${BASE}
        RUN pip install .
        # file: app/main.py
        app = None
    """,
        "the builder says which",
    ),
    Good(
        """
        # file: web/Dockerfile
        FROM node:22
        RUN npm ci
        # file: Dockerfile.dev
        FROM python:3.13
        # file: app/main.py
        app = None
    """,
        "images of other parts, and of a developer",
    ),
]
