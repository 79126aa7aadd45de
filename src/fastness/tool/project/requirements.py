"""Which versions of its dependencies a project asks for, read from the files that say so. Nothing is installed or asked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from fastness.tool.project.project import Project

_LINE = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*([<>=!~^]=?=?\s*[\w.*]+)?")
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")


class Requirements:
    """The project's dependencies, by normalised name."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @cached_property
    def stated(self) -> dict[str, list[str]]:
        """Each dependency with every version specifier that is stated for it, locks first."""
        found: dict[str, list[str]] = {}
        for name, specifier in [*self._locked(), *self._declared()]:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), []).append(specifier)
        return found

    def major(self, name: str) -> int | None:
        """The major version that is asked for, None when nothing tells."""
        for specifier in self.stated.get(name, ()):
            version = _VERSION.search(specifier)
            if version is not None and not specifier.startswith("<"):
                return int(version[1])
        return None

    def has(self, *names: str) -> bool:
        """One of these is a dependency."""
        return any(name in self.stated for name in names)

    def _locked(self) -> Iterator[tuple[str, str]]:
        for _, text in self._project.files("uv.lock", "poetry.lock", "pdm.lock"):
            for package in _toml(text).get("package", ()):
                if isinstance(package, dict) and "version" in package:
                    yield str(package.get("name", "")), f"=={package['version']}"

    def _declared(self) -> Iterator[tuple[str, str]]:
        for _, text in self._project.files("pyproject.toml"):
            document = _toml(text)
            project = document.get("project", {})
            extras = project.get("optional-dependencies", {}) if isinstance(project, dict) else {}
            groups = [project.get("dependencies", ()) if isinstance(project, dict) else (), *extras.values()]
            for group in groups:
                yield from (split for line in group if isinstance(line, str) for split in _split(line))
            poetry = document.get("tool", {}).get("poetry", {})
            for name, wanted in poetry.get("dependencies", {}).items():
                yield name, str(wanted.get("version", "") if isinstance(wanted, dict) else wanted)
        for _, text in self._project.files(
            "requirements.txt", "requirements.in", "base.txt", "prod.txt", "Pipfile", "setup.py"
        ):
            for line in text.splitlines():
                yield from _split(line.strip().strip("\"',").replace('= "', "").replace('"', ""))


def _split(line: str) -> Iterator[tuple[str, str]]:
    matched = _LINE.match(line)
    if matched is not None and not line.lstrip().startswith(("#", "-", "[")):
        yield matched[1], (matched[2] or "").replace(" ", "")


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
