"""Which files are the project's own Python: vendored code, virtual environments, builds and ignored files are not.

Nothing is read but `.gitignore` files, and symbolic links are not followed, so a loop of them cannot trap the walk.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_NEVER = frozenset({
    "__pycache__", "node_modules", "site-packages", "dist-packages", "venv", "virtualenv", "__pypackages__", "bower_components",
    "_vendor", "vendor", "vendored", "third_party",
})  # fmt: skip
_LARGEST = 4 << 20  # bytes; larger sources are generated data


@dataclass(frozen=True, slots=True)
class _Ignore:
    base: str  # the directory of the .gitignore, relative to the root, "" for the root itself
    pattern: str
    negated: bool
    directories_only: bool


@dataclass(frozen=True, slots=True)
class _Ignores:
    base: str
    pattern: re.Pattern[str]
    negated: bool
    directories_only: bool


def python_files(root: Path, unreadable: dict[str, str]) -> Iterator[str]:
    """The project's Python files as paths relative to `root`, with forward slashes, in a stable order.

    Args:
        unreadable: is told which directories cannot be read, and why.
    """
    yield from _walk(root, "", (), unreadable)


def too_large(path: Path) -> bool:
    """The file is data in Python's clothes: reading it would cost seconds and tell nothing."""
    return path.stat().st_size > _LARGEST


def _walk(root: Path, relative: str, inherited: Sequence[_Ignores], unreadable: dict[str, str]) -> Iterator[str]:
    try:
        with os.scandir(root / relative) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return  # gone since its parent was listed
    except OSError as error:
        unreadable[relative or "."] = error.strerror or str(error)
        return
    if relative and any(entry.name == "pyvenv.cfg" for entry in found):
        return  # a virtual environment
    ignores = (
        [*inherited, *_together(_gitignore(root, relative))]
        if any(entry.name == ".gitignore" for entry in found)
        else inherited
    )
    directories = []
    for entry in found:
        path = f"{relative}/{entry.name}" if relative else entry.name
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if not _skipped(entry) and not _ignored(path, ignores, directory=True):
                directories.append(path)
        elif entry.name.endswith(".py") and entry.is_file() and not _ignored(path, ignores, directory=False):
            yield path
    for path in directories:
        yield from _walk(root, path, ignores, unreadable)


def _skipped(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name in _NEVER or entry.name.endswith((".egg-info", ".dist-info"))


def _together(ignores: Iterable[_Ignore]) -> Iterator[_Ignores]:
    """Lines that say the same about what they match, as one pattern: every path is held against all of them."""
    for (base, negated), lines in groupby(ignores, lambda one: (one.base, one.negated)):
        patterns: dict[bool, list[str]] = {}
        for one in lines:
            patterns.setdefault(one.directories_only, []).append(one.pattern)
        for directories_only, of in patterns.items():
            yield _Ignores(base, re.compile("|".join(of)), negated, directories_only)


def _gitignore(root: Path, relative: str) -> Iterator[_Ignore]:
    try:
        lines = (root / relative / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        negated = line.startswith("!")
        line = line.removeprefix("!")
        directories_only = line.endswith("/")
        line = line.rstrip("/")
        if not line:
            continue
        anchored = "/" in line
        yield _Ignore(relative, _translate(line.lstrip("/"), anchored=anchored), negated, directories_only)


def _translate(pattern: str, *, anchored: bool) -> str:
    pieces = []
    for part in pattern.split("/"):
        if part == "**":
            pieces.append("(?:[^/]+/)*")
        else:
            pieces.append(fnmatch.translate(part).removeprefix("(?s:").removesuffix(")\\Z").replace(".*", "[^/]*") + "/")
    return ("" if anchored else "(?:.*/)?") + "".join(pieces)


def _ignored(path: str, ignores: Sequence[_Ignores], *, directory: bool) -> bool:
    verdict = False
    for ignore in ignores:
        if ignore.directories_only and not directory:
            continue
        inside = path[len(ignore.base) + 1 :] if ignore.base else path
        if ignore.pattern.fullmatch(inside + "/"):
            verdict = not ignore.negated  # the last pattern that matches decides
    return verdict
