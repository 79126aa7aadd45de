"""What was changed since a revision, as git tells it: lines, commits and the texts before. And the findings that lie in it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastness.tool.errors import CommandError
from fastness.tool.findings import Finding, Report
from fastness.tool.project.files.project import Project

_HUNK = re.compile(rb"^@@ -\S+ \+(\d+)(?:,(\d+))? @@")
_SECONDS = 60


@dataclass(slots=True)
class Changed:
    """What was changed in one file.

    Attributes:
        lines: first and last line of every range that is new or different.
        gaps: the lines after which something was removed; 0 is the beginning of the file.
    """

    lines: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)

    def touches(self, first: int, last: int) -> bool:
        """A line of this range was changed, or one was removed inside it or at its edge."""
        if any(start <= last and first <= end for start, end in self.lines):
            return True
        return any(first - 1 <= gap <= last for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a change, merges left out.

    Attributes:
        subject: the first line of its message.
        paths: the files that it touches.
    """

    subject: str
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a pull request changes.

    Attributes:
        revision: since when.
        files: what was changed in each file, by path, what is not committed included.
        commits: the newest first.
        before: the text of a file at the revision; None when it had no such file.
    """

    revision: str
    files: dict[str, Changed]
    commits: Sequence[Commit] = ()
    before: Callable[[str], str | None] = lambda _: None


def since(directory: Path, revision: str) -> Change:
    """What was changed below a directory since it parted from a revision.

    Raises:
        CommandError: it is not in a git repository, or there is no such revision.
    """
    commit = _git(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        inside = _git(directory, "rev-parse", "--is-inside-work-tree") is not None
        what = f"git knows no revision {revision!r}" if inside else "it is not in a git repository"
        raise CommandError(f"{directory}: {what}, so --diff cannot tell what was changed (a shallow clone lacks old commits)")
    base = _git(directory, "merge-base", commit.decode().strip(), "HEAD") or commit
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--unified=0", "--relative")
    told = _git(directory, "-c", "core.quotePath=false", "diff", *options, base.decode().strip(), "--", ".")
    untracked = _git(directory, "ls-files", "--others", "--exclude-standard", "-z")
    if told is None or untracked is None:
        raise CommandError(f"{directory}: git cannot tell what was changed since {revision!r}")
    found = _read(told)
    for path in untracked.split(b"\0"):
        if path:
            found[path.decode(errors="surrogateescape")] = Changed(lines=[(1, 1 << 31)])
    start = base.decode().strip()

    def before(path: str) -> str | None:
        text = _git(directory, "show", "--no-textconv", f"{start}:./{path}")
        return None if text is None else text.decode(errors="replace")

    return Change(revision, found, list(_commits(directory, start)), before)


def _commits(directory: Path, base: str) -> Iterator[Commit]:
    options = ("--no-merges", "--no-renames", "--relative", "--name-only", "-z", "--format=%x01%s")
    told = _git(directory, "log", *options, f"{base}..HEAD", "--", ".") or b""
    for entry in told.decode(errors="surrogateescape").split("\x01")[1:]:
        subject, *paths = entry.split("\0")
        yield Commit(subject, [path.strip("\n") for path in paths if path.strip("\n")])


def _git(directory: Path, *arguments: str) -> bytes | None:
    """What git prints, None when it fails."""
    try:
        done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, check=False, timeout=_SECONDS)
    except FileNotFoundError:
        raise CommandError("git is not installed, so --diff cannot tell what was changed") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"git took longer than {_SECONDS} seconds to tell what was changed") from None
    return done.stdout if done.returncode == 0 else None


def _read(told: bytes) -> dict[str, Changed]:
    found: dict[str, Changed] = {}
    current: Changed | None = None
    left = 0  # lines of the hunk that are still to come: text, whatever it looks like
    for line in told.split(b"\n"):
        if left and line[:1] in {b"+", b"-"}:
            left -= 1
            continue
        hunk = _HUNK.match(line)
        if line.startswith(b"+++ "):
            path = line[4:].rstrip(b"\t").strip(b'"').decode(errors="surrogateescape")
            current = None if path == "/dev/null" else found.setdefault(path.partition("/")[2], Changed())
        elif hunk is not None:
            start, count = int(hunk[1]), int(hunk[2] or b"1")
            removed = re.match(rb"^@@ -\d+(?:,(\d+))?", line)
            left = count + (int(removed[1] or b"1") if removed else 0)
            if current is not None and count:
                current.lines.append((start, start + count - 1))
            elif current is not None:
                current.gaps.append(start)
    return found


def only(report: Report, project: Project, change: Change) -> Report:
    """The report with those findings alone whose place, or a place of whose evidence, was changed."""
    kept: list[Finding] = []
    for finding in report.findings:
        places = [(finding.path, finding.line), *((evidence.path, evidence.line) for evidence in finding.evidence)]
        if any(path in change.files and change.files[path].touches(*_extent(project, path, line)) for path, line in places):
            kept.append(finding)
    return replace(report, findings=kept, part=f"what was changed since {change.revision}")


def _extent(project: Project, path: str, line: int) -> tuple[int, int]:
    """The lines of the statement that begins or goes on at a line; of a definition those of its header and decorators."""
    module = project.modules.get(path)
    if module is None or path in project.unreadable:
        return line, line
    extents = [extent for extent in _statements(module.tree.body) if extent[0] <= line <= extent[1]]
    return max(extents, default=(line, line))


def _statements(body: Sequence[ast.AST]) -> Iterator[tuple[int, int]]:
    for statement in body:
        inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, _INNER)]
        if isinstance(statement, ast.stmt):
            first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", ()))])
            last = min(map(_first, inner)) - 1 if inner else statement.end_lineno or first
            yield first, max(first, last)
        yield from _statements(inner)


_INNER = (ast.stmt, ast.excepthandler, ast.match_case)


def _first(node: ast.AST) -> int:
    return _first(node.pattern) if isinstance(node, ast.match_case) else getattr(node, "lineno", 1)
