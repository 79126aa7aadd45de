"""Syntax that is newer than the oldest interpreter the tool runs on."""

import ast

import pytest

from fastness.tool.project.source import newer
from fastness.tool.project.source.module import Module, UnparsableError

_NEWER = [
    "try:\n    pass\nexcept KeyError, ValueError:\n    marker()\n",
    "type Pair[T] = tuple[T, T]\nmarker()\n",
    "type Both = (\n    int\n    | str\n)\nmarker()\n",
    "class Box[T: (int, str) = int]:\n    def get[**P](self) -> T: ...\nmarker()\n",
    "def first[\n    T,\n](values: list[T]) -> T: ...\nmarker()\n",
    'x = f"{data["key"]}"\nmarker()\n',
    "x = f\"{'\\n'.join(names)}\"\nmarker()\n",
    "x = (\n    f\"{'; '.join(call(  # why\n        a,\n    ))}\"\n)\nmarker()\n",
    'x = f"{f"{f"{deep}"}"}"\nmarker()\n',
]


@pytest.mark.parametrize("source", _NEWER)
def test_lines_stay_where_they_are(source: str) -> None:
    """The rewritten source parses here, and every later statement is on its old line."""
    tree = ast.parse(newer.rewrite(source))
    marked = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "marker"]
    assert marked == [next(n for n, line in enumerate(source.split("\n"), 1) if "marker" in line)]


def test_names_inside_strings_are_kept() -> None:
    """What an f-string evaluates is still seen when its quotes had to change."""
    module = Module("a.py", "a", b'x = f"{call("a", other["b"])}"\n').indexed()
    assert [site.name for site in module.calls] == ["call"]


def test_what_no_version_reads_is_refused() -> None:
    """Merge markers are no Python; the reason names the line."""
    with pytest.raises(UnparsableError, match="line 2"):
        Module("a.py", "a", b"x = 1\n<<<<<<< HEAD\n").indexed()


def test_what_is_not_text_is_refused() -> None:
    """A file that breaks its own encoding is not read, one that declares another is."""
    with pytest.raises(UnparsableError, match="encoding"):
        Module("a.py", "a", b"x = '\xff\xfe'\n")
    assert "é" in Module("a.py", "a", b"# coding: latin-1\nx = '\xe9'\n").text
