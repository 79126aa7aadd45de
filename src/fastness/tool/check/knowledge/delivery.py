"""How a project is built and started, read from the files that say so: images, process files, start scripts and pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastness.tool.check.rule import Found
from fastness.tool.project import Project

_IMAGES = tuple(
    f"{where}{name}" for where in ("", "*/", "*/*/") for name in ("Dockerfile", "Dockerfile.*", "*.Dockerfile", "Containerfile")
)
_PROCESSES = tuple(f"{where}Procfile" for where in ("", "*/"))
_SCRIPTS = tuple(f"{where}*.sh" for where in ("", "*/", "*/*/", "*/*/*/"))
PIPELINES = (
    ".github/workflows/*.yml", ".github/workflows/*.yaml", ".gitlab-ci.yml", ".circleci/config.yml", "azure-pipelines.yml",
    "bitbucket-pipelines.yml", "Jenkinsfile", ".drone.yml", ".travis.yml", "cloudbuild.yaml", ".woodpecker.yml", ".ci/*",
)  # fmt: skip
MANIFESTS = ("pyproject.toml", "requirements.txt", "requirements.in", "Pipfile", "setup.py", "base.txt", "prod.txt")
_PYTHON = re.compile(r"\b(?:python|uv|pip|poetry|uvicorn|gunicorn|fastapi)\b", re.IGNORECASE)
_ONLY_HERE = re.compile(
    r"(?<![a-z])(?:dev|devel|develop|development|devcontainer|local|tests?|testing|debug|ci|examples?|docs?)(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file that is no Python; continuation lines are part of the first.

    Attributes:
        number: counted from 1.
    """

    path: str
    number: int
    text: str

    def found(self, message: str) -> Found:
        """A fault at this line."""
        return Found(self.path, self.number, 1, message)


def images(project: Project) -> dict[str, list[Line]]:
    """The instructions of every image of a Python service that is built for production."""
    found = {}
    for path, text in project.glob(*_IMAGES):
        if _PYTHON.search(text) and not _is_for_developers(path):
            found[path] = list(_joined(path, text))
    return found


def commands(project: Project) -> Iterator[Line]:
    """The lines that start processes in production: of images, process files and shell scripts."""
    for lines in images(project).values():
        stages = [number for number, line in enumerate(lines) if re.match(r"FROM\b", line.text, re.IGNORECASE)]
        for line in lines[stages[-1] if stages else 0 :]:  # only the last stage is what is shipped
            if re.match(r"(?:CMD|ENTRYPOINT)\b", line.text, re.IGNORECASE):
                yield Line(line.path, line.number, " ".join(re.sub(r"""["',\[\]]+""", " ", line.text).split()))
    for path, text in project.glob(*_PROCESSES):
        yield from _joined(path, text)
    for path, text in project.glob(*_SCRIPTS):
        if not _is_for_developers(path):
            yield from _joined(path, text)


def stated(project: Project, name: str) -> Line | None:
    """The first line of a manifest that asks for a distribution."""
    pattern = re.compile(rf"""^\s*["']?{re.escape(name)}(?![\w.-])""", re.IGNORECASE)
    for path, text in project.files(*MANIFESTS):
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.match(line):
                return Line(path, number, line.strip())
    return None


def framework(project: Project) -> Line | None:
    """The first line of a manifest that makes the project a service."""
    return stated(project, "fastapi") or stated(project, "fastness")


def _is_for_developers(path: str) -> bool:
    """By its name or the directory it stands in."""
    return bool(_ONLY_HERE.search(path))


def _joined(path: str, text: str) -> Iterator[Line]:
    number = 0
    lines = iter(text.splitlines())
    for line in lines:
        number += 1
        first = number
        whole = line
        while whole.rstrip().endswith("\\"):
            following = next(lines, "")
            number += 1
            whole = f"{whole.rstrip()[:-1]} {following.strip()}"
            if not following:
                break
        if whole.strip() and not whole.lstrip().startswith("#"):
            yield Line(path, first, whole.strip())
