"""What a rule's `fix` is made of: edits of source ranges, so that everything around them stays as it was written.

A rule that can correct what it finds has a function `fix(service, finding)` beside its `check`. It gives a `Repair`;
where it cannot be sure, None or the reason as a phrase. Whether a repair does what it should is not for the rule to say:
every one is checked again.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fastness.tool.findings import Finding
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, Kind


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """One range of a file's text, in characters, and what takes its place. Of equal edits one is made.

    Attributes:
        origin: where the text, from its second line on, stands before the edit; -1 when it is new. What is found in it is no
            new finding.
    """

    path: str
    start: int
    end: int
    text: str
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Repair:
    """The edits that correct one finding; all are made, or none.

    Attributes:
        review: a person must look at it, although most repairs of its rule are safe.
    """

    edits: tuple[Edit, ...]
    review: bool = False


Fixer: TypeAlias = Callable[[Service, Finding], Repair | str | None]


def calls_at(service: Service, finding: Finding) -> Iterator[CallSite]:
    """The calls that begin where a finding is: of `a().b()` both."""
    module = service.project.modules[finding.path]
    for site in module.all_calls:
        if (site.node.lineno, site.node.col_offset + 1) == (finding.line, finding.column):
            yield site


def function_at(service: Service, finding: Finding) -> Function | None:
    """The function whose `def` is where a finding is."""
    functions = service.project.modules[finding.path].functions
    return next((f for f in functions if (f.node.lineno, f.node.col_offset + 1) == (finding.line, finding.column)), None)


def span(module: Module, node: ast.expr | ast.stmt) -> tuple[int, int]:
    """Where a node stands in the text of its file, in characters."""
    return (
        _offset(module, node.lineno, node.col_offset),
        _offset(module, node.end_lineno or node.lineno, node.end_col_offset or 0),
    )


def text_of(module: Module, node: ast.expr | ast.stmt) -> str:
    """A node as it is written."""
    start, end = span(module, node)
    return module.text[start:end]


def is_written(module: Module, node: ast.expr) -> bool:
    """The node stands in the file as such: one that was read out of a text annotation does not."""
    try:
        return ast.dump(ast.parse(f"(\n{text_of(module, node)}\n)", mode="eval").body) == ast.dump(node)
    except (SyntaxError, ValueError):
        return False


def replaced(module: Module, node: ast.expr | ast.stmt, text: str) -> Edit:
    """Something else in place of a node."""
    return Edit(module.path, *span(module, node), text)


def argument_added(module: Module, call: ast.Call, argument: str) -> Edit:
    """One more argument at the end of a call, on a line of its own when the last one is followed by a comma and a new line."""
    start, end = span(module, call)
    written = module.text[start:end]
    starts = [0]
    for line in written.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(written).readline) if token.type not in ignored]
    last, closing = tokens[-2], tokens[-1]
    after = start + starts[last.end[0] - 1] + last.end[1]
    if last.string == "(":
        return Edit(module.path, after, after, argument)
    if last.string != ",":
        return Edit(module.path, after, after, f", {argument}")
    if last.end[0] == closing.start[0]:
        return Edit(module.path, after, after, f" {argument},")
    line = written.split("\n")[last.start[0] - 1]
    indent = line[: len(line) - len(line.lstrip())]
    end_of_line = start + starts[last.end[0] - 1] + len(line)
    return Edit(module.path, end_of_line, end_of_line, f"\n{indent}{argument},")


def lines_added(module: Module, statement: ast.stmt, *lines: str) -> Edit | None:
    """Lines after a statement, indented as it is. None: it shares its lines with something else."""
    start, end = span(module, statement)
    before = module.text[module.text.rfind("\n", 0, start) + 1 : start]
    stop = module.text.find("\n", end)
    stop = len(module.text) if stop < 0 else stop
    after = module.text[end:stop].strip()
    if before.strip() or (after and not after.startswith("#")):
        return None
    return Edit(module.path, stop, stop, "".join(f"\n{before}{line}" for line in lines))


def lines_removed(module: Module, first: int, last: int, *, above: bool = False) -> Edit | None:
    """Whole lines away, with the empty ones above them if asked. None: they hold more than one statement."""
    if ";" in module.lines[first - 1] or ";" in module.lines[last - 1]:
        return None
    while above and first > 1 and not module.lines[first - 2].strip():
        first -= 1
    start = _offset(module, first, 0)
    end = _offset(module, last, 0) + len(module.lines[last - 1])
    return Edit(module.path, start, min(end + 1, len(module.text)), "")


def block(module: Module, statement: ast.stmt) -> tuple[int, int]:
    """The whole lines of a statement, from the comments that stand on it and its decorators to the end of its last line."""
    decorators = getattr(statement, "decorator_list", ())
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    while first > 1 and module.lines[first - 2].strip().startswith("#"):
        first -= 1
    last = statement.end_lineno or statement.lineno
    return _offset(module, first, 0), _offset(module, last, 0) + len(module.lines[last - 1])


def moved_up(module: Module, statement: ast.stmt, above: ast.stmt) -> tuple[Edit, Edit]:
    """A statement to the place above one that stands before it in the same body, with the blank lines that it has now."""
    start, end = block(module, statement)
    before = len(module.text[:start].rstrip())
    blank = module.text.count("\n", before, start)
    target = block(module, above)[0] - 1
    text = "\n" + module.text[start:end] + "\n" * (blank - 1)
    return Edit(module.path, target, target, text, origin=start), Edit(module.path, before, end, "")


def imported(module: Module, source: str, name: str) -> tuple[str, tuple[Edit, ...]] | None:
    """What a library's name is called in a file, and the import where it was missing. None: the name means something else."""
    for local, bindings in module.bindings.items():
        if any(b.kind is Kind.IMPORT and (b.module, b.member) == (source, name) and not b.type_checking for b in bindings):
            return local, ()
    if name in module.bindings:
        return None
    for statement in module.tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == source and not statement.level:
            listed = statement.names
            if listed[0].name != "*":
                return name, (_listed(module, listed, name),)
    return name, (at_top(module, f"from {source} import {name}"),)


def at_top(module: Module, line: str, *, blank: int = 0) -> Edit:
    """A line after the imports that begin a file, else after its docstring, else before everything."""
    last: ast.stmt | None = None
    for position, statement in enumerate(module.tree.body):
        documents = position == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not documents and not isinstance(statement, ast.Import | ast.ImportFrom):
            break
        last = statement
    if last is None:
        first = span(module, module.tree.body[0])[0] if module.tree.body else len(module.text)
        first = module.text.rfind("\n", 0, first) + 1
        return Edit(module.path, first, first, f"{line}\n" + "\n" * blank)
    stop = module.text.find("\n", span(module, last)[1])
    stop = len(module.text) if stop < 0 else stop
    return Edit(module.path, stop, stop, "\n" * (blank + 1) + line)


def _listed(module: Module, listed: list[ast.alias], name: str) -> Edit:
    """One more name in `from x import a, b`, in order, and on its own line where they are."""
    places = [(one.name, *_range(module, one)) for one in listed]
    spread = len(places) > 1 and "\n" in module.text[places[0][2] : places[1][1]]
    first_line = module.text.rfind("\n", 0, places[0][1]) + 1
    own_line = not module.text[first_line : places[0][1]].strip()
    indent = "\n" + module.text[first_line : places[0][1]] if own_line and (spread or len(places) == 1) else " "
    for other, start, _ in places:
        if name < other:
            return Edit(module.path, start, start, f"{name},{indent}")
    return Edit(module.path, places[-1][2], places[-1][2], f",{indent}{name}")


def _range(module: Module, node: ast.alias) -> tuple[int, int]:
    return _offset(module, node.lineno, node.col_offset), _offset(module, node.end_lineno or 0, node.end_col_offset or 0)


def _offset(module: Module, line: int, column: int) -> int:
    """A position as `ast` counts it, in bytes of a line, in characters of the text."""
    position = sum(map(len, module.lines[: line - 1])) + line - 1
    written = module.lines[line - 1]
    return position + (column if written.isascii() else len(written.encode()[:column].decode(errors="ignore")))


def aligned(function: Function, by: int) -> Iterator[Edit]:
    """Parameters that are aligned with the parenthesis before them go with it."""
    module, node = function.module, function.node
    column = module.lines[node.lineno - 1].find("(", node.col_offset) + 1
    position = sum(len(line) + 1 for line in module.lines[: node.lineno])
    for line in module.lines[node.lineno : node.body[0].lineno - 1]:
        if column and len(line) - len(line.lstrip(" ")) == column and len(line) > column:
            yield Edit(module.path, position, position + by, "")
        position += len(line) + 1


def body_of(function: Function) -> Sequence[ast.stmt]:
    """The statements among which a function is defined."""
    parent = function.parent
    return parent.node.body if isinstance(parent, Class | Function) else parent.tree.body


def bound(statements: Sequence[ast.stmt]) -> set[str]:
    """The names that these statements give a value."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in statement.names)
        else:
            found.update(n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return found


def used_to_define(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The names that defining a function needs: in its decorators, defaults and annotations, those in texts too."""
    header = [*node.decorator_list, node.args, *([node.returns] if node.returns is not None else [])]
    inner = [inner for part in header for inner in ast.walk(part)]
    texts = " ".join(n.value for n in inner if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return {n.id for n in inner if isinstance(n, ast.Name)} | set(re.findall(r"[^\W\d]\w*", texts))
