"""The generated `pyproject.toml`: renamed, without the dependencies of what was left out. It edits text, not files.

The document is edited through a parser that keeps comments and layout, so that what the service's owners read first is
what the template's authors wrote.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import tomlkit
from tomlkit.items import Array, Table

from fastness.tool.errors import CommandError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^\]]*)\])?(?P<rest>.*)", re.ASCII | re.DOTALL
)
_RESERVED = frozenset({"app", "migrations", "tests"})


def check_name(name: str) -> None:
    """Refuse a `name` that cannot name both a distribution (PEP 508) and a directory, with a CommandError."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot name a project: use at most 63 letters, digits, '-', '_' and '.', "
            "beginning and ending with a letter or digit"
        )
    if canonical(name) in _RESERVED:
        raise CommandError(f"{name!r} cannot name a project: a package of the service itself is called that")


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def template_name(text: str) -> str:
    """The name of the project whose pyproject `text` is; a CommandError when it has none."""
    return str(_project(_parse(text))["name"])


def rename(text: str, *, old: str, new: str) -> str:
    """`text` with the word `old` as `new`, and `Old` as `New`."""
    names = {old: new, old.capitalize(): new.capitalize()}
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, names))})\b", lambda match: names[match[0]], text)


def edit(text: str, *, name: str, removed: Collection[str], facts: dict[str, Any]) -> str:
    """The template's pyproject `text` for a service called `name`.

    Args:
        text: the template's file, its regions already cut.
        name: the service's name.
        removed: requirements to leave out: `redis`, or an extra of one that stays, `fastness[redis]`.
        facts: written to `[tool.fastness.template]`: what the service was generated from.

    Raises:
        CommandError: the text is not TOML, has no `[project]`, or depends on something called `name`.
    """
    document = _parse(text)
    project = _project(document)
    old = canonical(str(project["name"]))
    project["name"] = name
    for requirements in _requirement_lists(document):
        for requirement in [*requirements]:
            if isinstance(requirement, str):
                _edit_requirement(requirements, requirement, old=old, name=name, removed=removed)
    tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
    tool.setdefault("fastness", tomlkit.table())["template"] = facts
    return tomlkit.dumps(document)


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except tomlkit.exceptions.ParseError as error:
        raise CommandError(f"pyproject.toml: {error}") from None


def _project(document: tomlkit.TOMLDocument) -> Table:
    project = document.get("project")
    if not isinstance(project, Table) or "name" not in project:
        raise CommandError("pyproject.toml: [project] with a name is missing")
    return project


def _requirement_lists(document: tomlkit.TOMLDocument) -> Iterator[Array]:
    """Every list of requirements: dependencies, extras (PEP 621) and groups (PEP 735)."""
    project = document["project"]
    groups = [project.get("optional-dependencies", {}), document.get("dependency-groups", {})]
    lists = [project.get("dependencies"), *(requirements for group in groups for requirements in group.values())]
    yield from (requirements for requirements in lists if isinstance(requirements, Array))


def _edit_requirement(requirements: Array, requirement: str, *, old: str, name: str, removed: Collection[str]) -> None:
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise CommandError(f"pyproject.toml: {requirement!r} is not a requirement (PEP 508)")
    distribution = canonical(match["name"])
    if distribution == old:
        requirements[requirements.index(requirement)] = f"{name}{requirement.strip()[len(match['name']) :]}"
        return
    if distribution == canonical(name):
        raise CommandError(f"{name!r} cannot name this project: it depends on a package of that name")
    dropped = [_REQUIREMENT.fullmatch(entry) for entry in removed]
    ours = [entry for entry in dropped if entry is not None and canonical(entry["name"]) == distribution]
    if any(entry["extras"] is None for entry in ours):
        requirements.remove(requirement)
        return
    without = {extra for entry in ours for extra in _extras(entry["extras"])}
    extras = _extras(match["extras"] or "")
    if without.intersection(extras):
        left = ",".join(extra for extra in extras if extra not in without)
        brackets = f"[{left}]" if left else ""
        requirements[requirements.index(requirement)] = f"{match['name']}{brackets}{match['rest']}"


def _extras(text: str) -> list[str]:
    return [extra.strip() for extra in text.split(",") if extra.strip()]
