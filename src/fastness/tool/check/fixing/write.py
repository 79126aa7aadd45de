"""Changed files as a diff, and on the disk: with the encoding, line ends and mode that they had, whole or not at all."""

from __future__ import annotations

import difflib
import io
import os
import shutil
import tempfile
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

from fastness.tool.errors import CommandError
from fastness.tool.project.files.project import Project


def diff(project: Project, texts: Mapping[str, str]) -> Iterator[str]:
    """The lines of a unified diff from the project to the new texts."""
    for path, text in sorted(texts.items()):
        before = project.modules[path].text
        for line in difflib.unified_diff(_lines(before), _lines(text), f"a/{path}", f"b/{path}"):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    return io.StringIO(text, newline="\n").readlines()


def write(project: Project, texts: Mapping[str, str]) -> None:
    """Write the new texts.

    Raises:
        CommandError: a file has changed since it was read, or cannot be written. Files before it are written.
    """
    if project.root is None:
        raise ValueError("a project that was given as text has no files")
    contents = {}
    for path, text in sorted(texts.items()):
        contents[path] = _encoded(project.root / path, project.modules[path].text, text)
    for path, content in contents.items():
        _replace(project.root / path, content)


def _encoded(file: Path, before: str, text: str) -> bytes:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from error
    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    now = raw.decode(encoding)
    if now.replace("\r\n", "\n").replace("\r", "\n") != before:
        raise CommandError(f"{file} has changed while it was checked: run --fix again")
    crlf, lf = now.count("\r\n"), now.count("\n")
    if (crlf and crlf != lf) or now.count("\r") != crlf:
        raise CommandError(f"{file} mixes line ends, which an edit would not keep: make them equal first")
    return (text.replace("\n", "\r\n") if crlf else text).encode(encoding)


def _replace(file: Path, content: bytes) -> None:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
            shutil.copymode(file, name)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from error
