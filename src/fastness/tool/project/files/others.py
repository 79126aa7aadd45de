"""Files that are no Python: manifests, images, pipelines. Every question is noted with a digest of its answer."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import translate
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from fastness.tool.project.files.locate import too_large

Question: TypeAlias = tuple[str, ...]
"""A kind of question, and what it is about."""


class Others:
    """The files below one directory, or given as text, that are asked for by name or pattern.

    Attributes:
        asked: what was asked, with a digest of each answer.
    """

    def __init__(self, root: Path | None, texts: Mapping[str, str], unreadable: dict[str, str]) -> None:
        self._root = root
        self._texts = texts
        self._unreadable = unreadable
        self.asked: dict[Question, str] = {}
        self._answers: dict[Question, list[tuple[str, str]]] = {}
        self._listings: dict[str, dict[str, bool]] = {}

    def answer(self, *question: str) -> list[tuple[str, str]]:
        """The paths and texts that a question asks for."""
        known = self._answers.get(question)
        if known is None:
            kind, *what = question
            known = self._answers[question] = list(_ANSWERS[kind](self, what))
            parts = (part.encode("utf-8", "surrogateescape") for pair in known for part in pair)
            self.asked[question] = hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).hexdigest()
        return known

    def _named(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        for path, text in self._texts.items():
            if PurePosixPath(path).name in names:
                yield path, text
        for above in ("", "*/", "*/*/"):
            for name in names:
                for found in self._matches(above + name):
                    if not any(part.startswith(".") or part == "node_modules" for part in found.split("/")):
                        yield from self._read(found)

    def _matching(self, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
        for pattern in patterns:
            for path, text in self._texts.items():
                if PurePosixPath(path).match(pattern) and path.count("/") == pattern.count("/"):
                    yield path, text
            for found in self._matches(pattern):
                if self._root is not None and not (self._root / found).is_symlink():
                    yield from self._read(found)

    def _matches(self, pattern: str) -> list[str]:
        """The paths on disk that match a pattern, in the order of their names. Links to directories are not followed."""
        if self._root is None:
            return []
        *above, last = pattern.split("/")
        directories = [""]
        for part in above:
            directories = self._inside(directories, part, only_directories=True)
        return self._inside(directories, last, only_directories=False)

    def _inside(self, directories: Sequence[str], part: str, *, only_directories: bool) -> list[str]:
        """What directories hold whose name matches a part of a pattern."""
        matches = re.compile(translate(part)).fullmatch if any(sign in part for sign in "*?[") else None
        found = []
        for directory in directories:
            listing = self._listing(directory)
            names = [name for name in listing if matches(name)] if matches else [part] if part in listing else []
            found += [f"{directory}/{name}" if directory else name for name in names if listing[name] or not only_directories]
        return found

    def _listing(self, directory: str) -> dict[str, bool]:
        """What is in a directory, and whether that is a directory: every pattern asks the same ones."""
        known = self._listings.get(directory)
        if known is None:
            try:
                with os.scandir((self._root or Path()) / directory) as entries:
                    found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
            except OSError:
                found = {}
            known = self._listings[directory] = dict(sorted(found.items()))
        return known

    def _read(self, path: str) -> Iterator[tuple[str, str]]:
        """Its path and text; nothing of what is no file, is data, or must not be read, which is in `unreadable` from now on."""
        file = (self._root or Path()) / path
        try:
            if file.is_file() and not too_large(file):
                yield path, file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            self._unreadable[path] = error.strerror or str(error)

    def _repository(self, _: Sequence[str]) -> Iterator[tuple[str, str]]:
        if self._root is None or (self._root / ".git").exists():
            yield ".git", ""


_ANSWERS: Mapping[str, Callable[[Others, Sequence[str]], Iterator[tuple[str, str]]]] = {
    "files": Others._named,
    "glob": Others._matching,
    "repository": Others._repository,
}
