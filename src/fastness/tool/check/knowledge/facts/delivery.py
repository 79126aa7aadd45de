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
_UNITS = tuple(f"{where}*.service" for where in ("", "*/", "*/*/", "*/*/*/"))
_COMPOSED = tuple(
    f"{where}{name}{end}"
    for where in ("", "*/", "*/*/")
    for name in ("docker-compose", "docker-compose.*", "docker-compose-*", "compose", "compose.*")
    for end in (".yml", ".yaml")
)
PIPELINES = (
    ".github/workflows/*.yml", ".github/workflows/*.yaml", ".gitlab-ci.yml", ".circleci/config.yml", "azure-pipelines.yml",
    "bitbucket-pipelines.yml", "Jenkinsfile", ".drone.yml", ".travis.yml", "cloudbuild.yaml", ".woodpecker.yml", ".ci/*",
)  # fmt: skip
MANIFESTS = ("pyproject.toml", "requirements.txt", "requirements.in", "Pipfile", "setup.py", "base.txt", "prod.txt")
_STAGE = re.compile(r"FROM\b.*?(?:\sAS\s+(\S+))?\s*$", re.IGNORECASE)
_TELLS = re.compile(r"(?:echo|printf|say|log|print|info)\b")
_EXEC = re.compile(r"ExecStart\s*=\s*[-@:+!]*(.*)")
_COMMAND = re.compile(r"( *)(?:command|entrypoint):(?: +[>|][-+]?)?(?: +(?!#)(.*?))?(?:\s+#.*)?")
_PYTHON = re.compile(r"\b(?:python|uv|pip|poetry|uvicorn|gunicorn|fastapi)\b", re.IGNORECASE)
_ONLY_HERE = re.compile(
    r"(?<![a-z])(?:dev|devel|develop|development|devcontainer|local|override|tests?|testing|debug|ci|examples?|docs?)(?![a-z])",
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


def _shipped(lines: list[Line]) -> list[Line]:
    """The last stage of an image, or the last before those that are for developers: `FROM shop AS dev`."""
    starts = [number for number, line in enumerate(lines) if _STAGE.match(line.text)] or [0]
    stages = [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return next((stage for stage in reversed(stages) if stage and not _is_aside(stage[0])), stages[-1])


def _is_aside(first: Line) -> bool:
    stage = _STAGE.match(first.text)
    return stage is not None and stage[1] is not None and _ONLY_HERE.search(stage[1]) is not None


def commands(project: Project) -> Iterator[Line]:
    """The lines that start processes in production: of images, process files, units of systemd and shell scripts."""
    for lines in images(project).values():
        for line in _shipped(lines):
            if re.match(r"(?:CMD|ENTRYPOINT)\b", line.text, re.IGNORECASE):
                yield Line(line.path, line.number, _plain(line.text))
    for path, text in project.glob(*_PROCESSES):
        yield from _joined(path, text)
    for path, text in project.glob(*_UNITS):
        for line in _joined(path, text) if not _is_for_developers(path) else ():
            started = _EXEC.match(line.text)
            if started is not None:
                yield Line(path, line.number, started[1])
    for path, text in project.glob(*_SCRIPTS):
        if not _is_for_developers(path):
            yield from (line for line in _joined(path, text) if not _TELLS.match(line.text))


def composed(project: Project) -> Iterator[Line]:
    """The commands of compose files: with some they start production, with others a developer does."""
    for path, text in project.glob(*_COMPOSED):
        lines = text.splitlines() if not _is_for_developers(path) else []
        for number, line in enumerate(lines):
            begun = _COMMAND.fullmatch(line)
            if begun is None:
                continue
            parts = [begun[2] or ""]
            for further in lines[number + 1 :]:
                listed = not begun[2] and further.startswith(f"{begun[1]}- ")
                if not listed and not further.startswith(f"{begun[1]} "):
                    break
                parts.append(further.strip().removeprefix("- "))
            yield Line(path, number + 1, _plain(" ".join(parts)))


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


def _plain(command: str) -> str:
    """A command without what makes a list of it."""
    return " ".join(re.sub(r"""["',\[\]]+""", " ", command).split())


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
