"""Which versions of its dependencies a project asks for, read from the files that say so. Nothing is installed or asked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from fastness.tool.project.files.project import Project

_SPECIFIER = r"[<>=!~^]=?=?\s*[\w.*+!-]+"
_LINE = re.compile(rf"^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*((?:{_SPECIFIER}\s*,?\s*)*)")
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")
_BOUND = re.compile(r"(===?|~=|<=?|\^|~|(?=\d))\s*v?(\d+(?:\.\d+)*)(\.\*)?")
# A lock is written by a tool, one key to a line, and too long to be parsed as TOML for two of them.
_PACKAGE = re.compile(r"^\[\[package\]\][ \t]*\r?\n((?:[^\[\n].*\n?|\r?\n)*)", re.MULTILINE)
_KEY = re.compile(r"""^(name|version)\s*=\s*["']([^"'\n]*)["']""", re.MULTILINE)
_ANY = 1 << 30  # a part of a version that may grow without end


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

    def newest(self, name: str) -> tuple[int, ...] | None:
        """The newest version that may be installed, as far as a lock or a specifier bounds it; None when nothing does.

        A part that is free is a large number: `^0.104` gives `(0, 104, 1 << 30)`, which compares as it should.
        """
        for specifier in self.stated.get(name, ()):
            bounds = [bound for part in specifier.split(",") if (bound := _upper(part.strip()))]
            if bounds:
                return min(bounds)
        return None

    def has(self, *names: str) -> bool:
        """One of these is a dependency."""
        return any(name in self.stated for name in names)

    def _locked(self) -> Iterator[tuple[str, str]]:
        for _, text in self._project.files("uv.lock", "poetry.lock", "pdm.lock"):
            for table in _PACKAGE.findall(text):
                keys = dict(_KEY.findall(table))
                if "version" in keys:
                    yield keys.get("name", ""), f"=={keys['version']}"

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
        yield matched[1], matched[2].replace(" ", "").rstrip(",")


def _upper(specifier: str) -> tuple[int, ...] | None:
    matched = _BOUND.match(specifier)
    if matched is None:
        return None
    operator, parts = matched[1], tuple(int(part) for part in matched[2].split("."))
    if operator == "<":
        while parts and parts[-1] == 0:
            parts = parts[:-1]
        return (*parts[:-1], parts[-1] - 1, _ANY) if parts else None
    if operator == "^":  # everything up to the next change of the first part that is not zero
        fixed = next((n for n, part in enumerate(parts) if part), len(parts) - 1) + 1
        return (*parts[:fixed], _ANY)
    if operator in {"~=", "~"}:
        return (*(parts[:-1] if operator == "~=" or len(parts) > 2 else parts), _ANY)
    return (*parts, _ANY) if matched[3] else parts


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
