"""What a project depends on: the bounds that it declares and the versions that it locks, read from files.

Every common way of declaring is read: PEP 621 and PEP 735, Poetry, Pipfile, requirements files, setup.cfg. Nothing is
resolved, installed or imported.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<bound>[^;#@]*)")
_EXTRA = re.compile(r"extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"]")
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
_OURSELVES = "fastness"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A project's dependencies, by canonical name (PEP 503).

    Attributes:
        bounds: version bounds as declared, "" where any version will do.
        locked: exact versions from a lock file or a pinned requirements file.
        python: the bound on Python, or None.
        unreadable: files that could not be read, and why.
    """

    bounds: dict[str, str] = field(default_factory=dict)
    locked: dict[str, str] = field(default_factory=dict)
    python: str | None = None
    unreadable: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.bounds or name in self.locked


def read(directory: Path) -> Dependencies:
    """The dependencies of the project in `directory`."""
    found = Dependencies(python=None)
    python: str | None = None
    document = _load_toml(directory / "pyproject.toml", found)
    project = document.get("project", {})
    poetry = document.get("tool", {}).get("poetry", {})
    _add(found, _pep621(document))
    for table in _poetry_tables(poetry):
        for name, value in table.items():
            bound = value if isinstance(value, str) else value.get("version", "") if isinstance(value, dict) else ""
            if canonical(name) == "python":
                python = bound
            else:
                found.bounds.setdefault(canonical(name), "" if bound == "*" else bound)
    pipfile = _load_toml(directory / "Pipfile", found)
    for name, value in pipfile.get("packages", {}).items():
        found.bounds.setdefault(canonical(name), value if isinstance(value, str) and value != "*" else "")
    for file in sorted(
        [*directory.glob("requirements*.txt"), *directory.glob("requirements/*.txt"), *directory.glob("requirements*.in")]
    ):
        _add(found, _requirement_lines(file.read_text(encoding="utf-8", errors="replace")))
    setup, setup_python = _setup_cfg(directory / "setup.cfg", found)
    _add(found, setup)
    _read_locks(directory, found)
    python = project.get("requires-python") or python or setup_python
    return Dependencies(bounds=found.bounds, locked=found.locked, python=python, unreadable=found.unreadable)


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _add(found: Dependencies, requirements: Iterable[str]) -> None:
    """Note each requirement. Where there are several bounds on one name the first stands: it is the project's own."""
    ours: set[str] | None = None
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement.strip())
        if match is None:
            continue
        name, bound = canonical(match["name"]), match["bound"].strip(" ()\\")
        found.bounds[name] = found.bounds.get(name) or bound
        if bound.startswith("==") and "," not in bound and "*" not in bound:
            found.locked.setdefault(name, bound.lstrip("=").split()[0])
        if name == _OURSELVES:
            ours = {extra.strip() for extra in (match["extras"] or "").split(",")}
    if ours is not None:
        _add(found, _ours(ours))


def _ours(extras: set[str]) -> Iterator[str]:
    """What this package brings with the chosen extras: a service that depends on `fastness[db]` has its drivers."""
    for requirement in metadata.requires(_OURSELVES) or []:
        marker = _EXTRA.search(requirement)
        if marker is not None and marker["extra"] not in extras:
            continue
        match = _REQUIREMENT.match(requirement)
        if match is not None and canonical(match["name"]) == _OURSELVES:
            yield from _ours(set((match["extras"] or "").split(",")))
        else:
            yield requirement


def _pep621(document: dict[str, Any]) -> Iterator[str]:
    project = document.get("project", {})
    groups = [project.get("optional-dependencies", {}), document.get("dependency-groups", {})]
    lists = [project.get("dependencies", []), *(requirements for group in groups for requirements in group.values())]
    yield from (requirement for requirements in lists for requirement in requirements if isinstance(requirement, str))


def _poetry_tables(poetry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield poetry.get("dependencies", {})
    yield poetry.get("dev-dependencies", {})
    for group in poetry.get("group", {}).values():
        yield group.get("dependencies", {})


def _requirement_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "-")):
            yield line


def _setup_cfg(file: Path, found: Dependencies) -> tuple[list[str], str | None]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        found.unreadable.append(f"{file.name}: {' '.join(str(error).split())}")
        return [], None
    requirements = parser.get("options", "install_requires", fallback="").splitlines()
    return requirements, parser.get("options", "python_requires", fallback=None)


def _read_locks(directory: Path, found: Dependencies) -> None:
    for name in _LOCKS:
        document = _load_toml(directory / name, found)
        for package in [*document.get("package", []), *document.get("packages", [])]:
            if isinstance(package, dict) and isinstance(package.get("version"), str):
                found.locked.setdefault(canonical(str(package.get("name"))), package["version"])
    pipfile_lock = directory / "Pipfile.lock"
    if pipfile_lock.is_file():
        try:
            packages = json.loads(pipfile_lock.read_text(encoding="utf-8"))["default"]
            for name, package in packages.items():
                found.locked.setdefault(canonical(name), package["version"].lstrip("="))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            found.unreadable.append(f"Pipfile.lock: {error}")


def _load_toml(file: Path, found: Dependencies) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found.unreadable.append(f"{file.name}: {error}")
        return {}
