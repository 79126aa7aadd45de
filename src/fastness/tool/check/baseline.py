"""A baseline: the findings that a project had when it adopted the check. They are silent, new ones count, gone ones are named.

A finding is known again by its rule, its file, the function or class around it and the text of its line without spaces, never
by its line number: edits elsewhere in the file bring nothing back. Of the text a digest is kept, so that a line that holds a
secret is not copied into another file.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from fastness.tool.errors import CommandError
from fastness.tool.findings import Finding, Report, Source
from fastness.tool.project.files.project import Project
from fastness.tool.project.source.symbols import Class, Function

_VERSION = 1
_MOST = 100_000  # of the same finding; a larger count is an accident or an attack on memory
_SPACE = re.compile(r"\s+")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """What a finding is recognised by.

    Attributes:
        symbol: the function or class in which it lies, or which it is about; empty at module level.
        text: the digest of its line; empty when the finding is about the whole symbol, whose signature may change.
        source: how it was found; a run that cannot find it cannot tell that it is gone.
    """

    rule: str
    path: str
    symbol: str
    text: str
    source: Source


def apply(report: Report, project: Project, known: Counter[Entry]) -> Report:
    """The report without the findings that the baseline knows, and with those of it that are gone.

    Each entry silences as many findings as it was counted for. One that is found nowhere is looked for in the same file in
    another function, as when that was renamed, then in another file, as when that was moved.
    """
    left = sorted(known.elements())
    unknown = [(finding, entry_of(finding, project)) for finding in report.findings]
    left, unknown = _without_same(left, unknown, _exactly)
    left, unknown = _without_same(left, unknown, _in_its_file)
    moved = [entry for entry in left if not _exists(project, entry.path)]
    kept = [entry for entry in left if _exists(project, entry.path)]
    moved, unknown = _without_same(moved, unknown, _without_its_file)
    gone = sorted(entry for entry in (*kept, *moved) if _would_be_seen(entry, report))
    new = {finding for finding, _ in unknown}
    return replace(
        report,
        findings=[finding for finding in report.findings if finding in new],
        known=[finding for finding in report.findings if finding not in new],
        resolved=[f"{entry.path}{f' ({entry.symbol})' if entry.symbol else ''}: {entry.rule}" for entry in gone],
    )


def updated(report: Report, project: Project, known: Counter[Entry]) -> Counter[Entry]:
    """The baseline that makes this report clean. What this run could not have seen is kept."""
    unseen = {entry: count for entry, count in known.items() if not _would_be_seen(entry, report)}
    now = Counter(entry_of(finding, project) for finding in report.findings)
    return now | Counter(unseen)


def entry_of(finding: Finding, project: Project) -> Entry:
    """What a finding is recognised by."""
    symbol, is_its_definition = _symbol(project, finding.path, finding.line)
    line = _COMMENT.sub("", project.line(finding.path, finding.line))
    text = "" if is_its_definition else _digest(_SPACE.sub("", line).replace("'", '"').rstrip(",") or finding.message)
    return Entry(finding.rule, finding.path, symbol, text, finding.source)


def _without_same(
    left: list[Entry], unknown: list[tuple[Finding, Entry]], key: Callable[[Entry], object]
) -> tuple[list[Entry], list[tuple[Finding, Entry]]]:
    """Both lists without the pairs that have the same key."""
    waiting: dict[object, list[Entry]] = {}
    for entry in left:
        waiting.setdefault(key(entry), []).append(entry)
    still = []
    for finding, entry in unknown:
        same = waiting.get(key(entry))
        if same:
            same.pop()
        else:
            still.append((finding, entry))
    return [entry for same in waiting.values() for entry in same], still


def _exactly(entry: Entry) -> object:
    return entry.rule, entry.path, entry.symbol, entry.text


def _in_its_file(entry: Entry) -> object:
    return entry.rule, entry.path, entry.text or entry.symbol


def _without_its_file(entry: Entry) -> object:
    return entry.rule, entry.symbol, entry.text


def _exists(project: Project, path: str) -> bool:
    return path in project.modules or path in project.unreadable or bool(project.root and (project.root / path).is_file())


def _would_be_seen(entry: Entry, report: Report) -> bool:
    unread = {one.path for one in (*report.not_checked, *report.failures)}
    ran = entry.rule in report.rules or entry.rule.startswith("governance/un")
    return ran and entry.path not in unread and entry.source in report.sources


def _symbol(project: Project, path: str, line: int) -> tuple[str, bool]:
    """The innermost function or class around a line, and whether the line is where that is defined."""
    module = project.modules.get(path)
    if module is None or path in project.unreadable:
        return "", False
    definitions: list[Function | Class] = [*module.functions, *module.classes]
    around = [
        (defined.node.lineno, defined.qualified)
        for defined in definitions
        if _first_line(defined.node) <= line <= (defined.node.end_lineno or defined.node.lineno)
    ]
    if not around:
        return "", False
    defined_at, symbol = max(around)
    return symbol, defined_at == line


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]


def read(path: Path) -> Counter[Entry]:
    """The baseline in a file.

    Raises:
        CommandError: it is missing, or not a baseline; an unusable one must not pass for an empty one.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist: `fastness check --baseline {path} --write-baseline` writes it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"the baseline {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("version") != _VERSION or not isinstance(document.get("findings"), list):
        raise CommandError(f"{path} is not a baseline of version {_VERSION}: write it again with --write-baseline")
    found: Counter[Entry] = Counter()
    for number, one in enumerate(document["findings"]):
        found[_entry(path, number, one)] += one["count"]
    return found


def _entry(path: Path, number: int, one: object) -> Entry:
    texts = ("rule", "path", "symbol", "text", "source")
    if (
        not isinstance(one, dict)
        or one.keys() != {*texts, "count"}
        or not all(isinstance(one[name], str) for name in texts)
        or one["source"] not in get_args(Source)
        or type(one["count"]) is not int
        or not 1 <= one["count"] <= _MOST
    ):
        raise CommandError(f"{path}: findings[{number}] is not an entry of a baseline: write it again with --write-baseline")
    return Entry(**{name: one[name] for name in texts})


def write(path: Path, known: Counter[Entry]) -> None:
    """Write a baseline: sorted, one entry a line, so that two branches that shrink it can be merged."""
    lines = [json.dumps({**asdict(entry), "count": known[entry]}, ensure_ascii=False) for entry in sorted(known)]
    text = "".join(f"  {line},\n" for line in lines).removesuffix(",\n")
    try:
        path.write_text(f'{{"version": {_VERSION}, "findings": [\n{text}\n]}}\n', encoding="utf-8")
    except OSError as error:
        raise CommandError(f"the baseline {path} cannot be written: {error.strerror or error}") from error
