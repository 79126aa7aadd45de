"""What `features.toml` at the top of a template declares: its optional features, and where its name stands. It changes nothing.

    named = ["app/__init__.py"]

    [features.redis]
    summary = "Cache and rate limits shared by every replica"
    files = ["app/infra/cache/redis.py", "tests/integration/test_redis.py"]
    dependencies = ["fastness[redis]"]

`named` lists the files in which the template's own name becomes the service's. `files` are paths in the template, each a
file or a whole directory. `dependencies` are names of distributions; with brackets, the extras of one that the service keeps.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from fastness.tool.errors import CommandError

FILE = "features.toml"
EXAMPLE = "example"
_KEYS = {"summary", "files", "dependencies"}


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that a service can do without.

    Attributes:
        name: as in `--without NAME` and in the markers of its regions.
        summary: one line for people.
        files: paths relative to the template.
        dependencies: distributions, or extras of one (`fastness[redis]`), that nothing else needs.
    """

    name: str
    summary: str
    files: tuple[str, ...]
    dependencies: tuple[str, ...]


def read(template: Path) -> dict[str, Feature]:
    """The features of `template` by name.

    Raises:
        CommandError: the file is missing or malformed, has an unknown key, or names a file that does not exist.
    """
    tables = _document(template).get("features", {})
    if not isinstance(tables, dict):
        raise CommandError(f"{FILE}: tables [features.NAME] are expected, found a value")
    return {name: _feature(name, table, template) for name, table in tables.items()}


def named(template: Path) -> frozenset[PurePath]:
    """The files of `template` in which its name stands for the service's own.

    Raises:
        CommandError: as `read`.
    """
    return frozenset(map(PurePath, _files("named", _document(template).get("named", []), FILE, template)))


def choose(features: Mapping[str, Feature], *, without: Iterable[str]) -> list[Feature]:
    """The features named by `without`, each once.

    Raises:
        CommandError: a name is not a feature.
    """
    names = dict.fromkeys(without)
    unknown = [name for name in names if name not in features]
    if unknown:
        raise CommandError(f"no feature is named {unknown[0]!r}: choose from {', '.join(sorted(features)) or 'none'}")
    return [features[name] for name in names]


def _document(template: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads((template / FILE).read_text(encoding="utf-8"))
    except OSError:
        raise CommandError(f"{template} is not a template: it has no {FILE}") from None
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{FILE}: {error}") from None
    if not document.keys() <= {"features", "named"}:
        raise CommandError(f"{FILE}: only `named` and tables [features.NAME] are expected, found {sorted(document)}")
    return document


def _feature(name: str, table: Any, template: Path) -> Feature:
    where = f"{FILE}: [features.{name}]"
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        unknown = sorted(table.keys() - _KEYS) if isinstance(table, dict) else table
        raise CommandError(f"{where}: {unknown} is unknown: the keys are {', '.join(sorted(_KEYS))}")
    summary, dependencies = table.get("summary"), table.get("dependencies", [])
    if not isinstance(summary, str) or not summary.strip():
        raise CommandError(f"{where}: summary is missing: say in one line what the service loses without it")
    return Feature(
        name=name,
        summary=summary,
        files=_files("files", table.get("files", []), where, template),
        dependencies=_strings("dependencies", dependencies, where),
    )


def _files(key: str, values: Any, where: str, template: Path) -> tuple[str, ...]:
    files = _strings(key, values, where)
    for file in files:
        if ".." in Path(file).parts or Path(file).is_absolute() or not (template / file).exists():
            raise CommandError(f"{where}: {file} is not in the template")
    return files


def _strings(key: str, values: Any, where: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CommandError(f"{where}: {key} is not a list of strings")
    return tuple(values)
