"""Marked regions: the parts of a template file that belong to a feature. It reads text and returns text.

A region is a run of whole lines between two comments that stand alone on their lines, `# feature: redis` and
`# /feature: redis` (in Markdown, HTML and XML `<!-- feature: redis -->`). Regions do not nest: a region that belongs to
two features is a sign that the code wants to be two functions. The markers never reach the generated service.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import PurePath

from fastness.tool.errors import CommandError

_HASH = re.compile(r"\s*#\s*(?P<end>/?)feature:\s*(?P<name>.*?)\s*")
_XML = re.compile(r"\s*<!--\s*(?P<end>/?)feature:\s*(?P<name>.*?)\s*-->\s*")
_XML_SUFFIXES = frozenset({".md", ".html", ".xml", ".svg"})
_BRACKETED_SUFFIXES = frozenset({".py", ".pyi", ".toml"})
_IMPORT = re.compile(r"(?:from|import)\s+(?P<name>\w+|\.)")
_FIRST_PARTY = frozenset({".", "app", "migrations", "tests"})
_OPENERS = ("(", "[", "{", ":")
_CLOSERS = (")", "]", "}")


def strip(text: str, *, path: PurePath, features: Collection[str], removed: Collection[str]) -> str:
    """`text` without markers and without the regions of `removed` features.

    Blank lines around a cut collapse to the larger of the two runs, and to none between imports of one section, so that
    formatted code stays formatted.

    Args:
        path: where the text stands in the template; names it in errors and decides the comment syntax.
        features: every name that may be marked.
        removed: the names whose regions go.

    Raises:
        CommandError: a marker names no feature, is nested, or has no counterpart; with file and line.
    """
    marker = _XML if path.suffix in _XML_SUFFIXES else _HASH
    bracketed = path.suffix in _BRACKETED_SUFFIXES
    kept: list[str] = []
    seam = False  # the line before was cut
    region: tuple[str, int] | None = None
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        match = marker.fullmatch(line.rstrip("\r\n"))
        if match is None:
            if region is not None and region[0] in removed:
                continue
            if seam and line.strip():
                _close_seam(kept, line, bracketed)
                seam = False
            kept.append(line)
            continue
        where, name = f"{path}:{number}", match["name"]
        if name not in features:
            raise CommandError(f"{where}: {name!r} is not a feature: features.toml has {', '.join(sorted(features)) or 'none'}")
        if match["end"]:
            if region is None or region[0] != name:
                raise CommandError(f"{where}: the region {name!r} ends here but does not start before: add '# feature: {name}'")
            region = None
        else:
            if region is not None:
                raise CommandError(
                    f"{where}: the region {name!r} starts inside {region[0]!r} of line {region[1]}: regions do not nest"
                )
            region = (name, number)
        kept.append("")  # where lines were cut: blank lines before it and after it meet here
        seam = True
    if region is not None:
        raise CommandError(f"{path}:{region[1]}: the region {region[0]!r} is never closed: add '# /feature: {region[0]}'")
    if seam:
        _close_seam(kept, "", bracketed)
    return "".join(kept)


def _close_seam(kept: list[str], following: str, bracketed: bool) -> None:
    """Join the blank lines at the end of `kept`, whose cuts are empty strings, before the line `following`.

    In `bracketed` languages none stay at the inside of a bracket, at the start of a block or between imports: formatters
    refuse them.
    """
    before = after = 0
    blank = "\n"
    while kept and not kept[-1].strip():
        line = kept.pop()
        if line:
            after, blank = after + 1, line
        else:
            before, after = max(before, after), 0
    blanks = max(before, after)
    at_edge = not kept or not following
    previous, following = ("", "") if at_edge else (kept[-1].strip(), following.strip())
    opens = previous.endswith(_OPENERS) and not previous.startswith("#")
    inside = opens or following.startswith(_CLOSERS) or _same_section(kept, following)
    if not (at_edge or (bracketed and inside)):
        kept.extend([blank] * blanks)


def _same_section(kept: list[str], following: str) -> bool:
    """Whether `following` imports from where the import that ends `kept` does: formatters keep such lines together."""
    # An import over several lines ends in a bracket, below lines that are indented.
    previous = next((line for line in reversed(kept) if line[:1] not in {"", " ", ")", "\n", "\r"}), "")
    sections = [_section(line) for line in (previous, following)]
    return None not in sections and sections[0] == sections[1]


def _section(line: str) -> int | None:
    """Which section of imports `line` belongs to: the standard library's, others', the service's own."""
    match = _IMPORT.match(line)
    if match is None:
        return None
    return 2 if match["name"] in _FIRST_PARTY else 0 if match["name"] in sys.stdlib_module_names else 1
