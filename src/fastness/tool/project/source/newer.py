"""Syntax that the running interpreter is too old for, rewritten into what it can parse, line for line.

Patterns find the common forms and a scanner those in f-strings; for the rest LibCST reads the grammar of every version. What is
new is replaced by an older form with the same names in the same lines: type parameters are blanked, `type X = Y` becomes an
assignment, `except A, B:` gets its parentheses, f-strings that reuse their quotes get others. The result serves analysis only;
it is never run or shown.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import libcst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from fastness.tool.project.source import fstrings
from fastness.tool.project.source.fstrings import formatted, parses

# What nearly every such file trips over, at the start of a line. A line of a docstring that looks the same changes in
# analysis only.
_UNPARENTHESISED = re.compile(r"^([ \t]*except[ \t]*\*?[ \t]*)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)([ \t]*:)", re.MULTILINE)
_ALIAS = re.compile(r"^([ \t]*)type[ \t]+(\w+)([ \t]*)(?=[\[=])", re.MULTILINE)
_BRACKET = re.compile(r"[(\[{)\]}]")
_DEEPEST = 150  # CPython itself stops at 200
_GENERIC = re.compile(r"^[ \t]*(?:(?:async[ \t]+)?def|class|type)[ \t]+\w+[ \t]*(?=\[)", re.MULTILINE)


def rewrite(text: str) -> str:
    """The same program in older syntax.

    Raises:
        SyntaxError: no version of Python reads it, as far as LibCST knows.
    """
    for form in (_common, lambda text: fstrings.convert(_common(text))):
        try:
            simple = form(text)
            ast.parse(simple)
        except (SyntaxError, ValueError):
            continue
        return simple
    return _thorough(text)  # ten times slower


def _common(text: str) -> str:
    pieces, position = [], 0
    for found in _GENERIC.finditer(text):
        end = _closing(text, found.end())
        pieces += [text[position : found.end()], _blanked(text[found.end() : end])]
        position = end
    text = "".join([*pieces, text[position:]])
    return _ALIAS.sub(r"\1\2\3", _UNPARENTHESISED.sub(r"\1(\2)\3", text))


def _closing(text: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(text)):
        depth += {"[": 1, "]": -1}.get(text[position], 0)
        if not depth:
            return position + 1
    return opening


def _nesting(text: str) -> int:
    """The deepest nesting of brackets, those in strings and comments counted too."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _blanked(text: str) -> str:
    return "".join("\\\n" if character == "\n" else " " for character in text)


def _thorough(text: str) -> str:
    if _nesting(text) > _DEEPEST:  # LibCST's parser recurses natively: too deep would end the process
        raise SyntaxError("too deeply nested")
    try:
        wrapper = MetadataWrapper(libcst.parse_module(text), unsafe_skip_copy=True)
    except libcst.ParserSyntaxError as error:
        raise SyntaxError(error.message, ("", error.raw_line, error.raw_column, None)) from error
    except RecursionError as error:
        raise SyntaxError("too deeply nested") from error
    edits = _Edits(_Text(text))
    wrapper.visit(edits)
    return edits.text.with_edits(edits.found)


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


class _Text:
    """A source text in which positions are (line, column) as LibCST counts them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        for line in text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def span(self, where: CodeRange) -> tuple[int, int]:
        start = self._starts[where.start.line - 1] + where.start.column
        return start, self._starts[where.end.line - 1] + where.end.column

    def with_edits(self, edits: Sequence[_Edit]) -> str:
        pieces, position = [], 0
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            pieces += [self.text[position : edit.start], edit.text]
            position = edit.end
        return "".join([*pieces, self.text[position:]])


@dataclass
class _Edits(libcst.CSTVisitor):
    text: _Text
    found: list[_Edit] = field(default_factory=list)

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __post_init__(self) -> None:
        super().__init__()

    def _span(self, node: libcst.CSTNode) -> tuple[int, int]:
        where = self.get_metadata(PositionProvider, node)
        if not isinstance(where, CodeRange):
            raise SyntaxError("no position")  # noqa: TRY004 - what callers expect
        return self.text.span(where)

    def visit_TypeParameters(self, node: libcst.TypeParameters) -> bool:  # noqa: N802
        start, end = self._span(node)
        self.found.append(_Edit(start, end, _blanked(self.text.text[start:end])))
        return False

    def visit_TypeAlias(self, node: libcst.TypeAlias) -> bool:  # noqa: N802
        start, _ = self._span(node)
        _, named = self._span(node.type_parameters or node.name)
        equals = self.text.text.index("=", named)
        header = self.text.text[start:equals]
        self.found.append(_Edit(start, equals, node.name.value + " " + "\\\n" * header.count("\n")))
        node.value.visit(self)
        return False

    def visit_ExceptHandler(self, node: libcst.ExceptHandler) -> None:  # noqa: N802
        self._parenthesise(node.type)

    def visit_ExceptStarHandler(self, node: libcst.ExceptStarHandler) -> None:  # noqa: N802
        self._parenthesise(node.type)

    def _parenthesise(self, caught: libcst.BaseExpression | None) -> None:
        if isinstance(caught, libcst.Tuple) and not caught.lpar:
            start, end = self._span(caught)
            self.found += [_Edit(start, start, "("), _Edit(end, end, ")")]

    def visit_FormattedString(self, node: libcst.FormattedString) -> bool:  # noqa: N802
        return self._string(
            node, [part.expression for part in node.parts if isinstance(part, libcst.FormattedStringExpression)]
        )

    def visit_TemplatedString(self, node: libcst.TemplatedString) -> bool:  # noqa: N802
        return self._string(
            node, [part.expression for part in node.parts if isinstance(part, libcst.TemplatedStringExpression)]
        )

    def _string(self, node: libcst.CSTNode, expressions: Sequence[libcst.BaseExpression]) -> bool:
        start, end = self._span(node)
        source = self.text.text[start:end]
        if not parses(source):
            # Formats and literal text are lost; what is evaluated inside, and on which line the string ends, is kept.
            inner = ", ".join(_plain(expression) for expression in expressions)
            self.found.append(_Edit(start, end, formatted(inner) + "\\\n" * source.count("\n")))
        return False


def _plain(expression: libcst.BaseExpression) -> str:
    code = libcst.Module([]).code_for_node(expression)
    if not parses(code):
        flattened = expression.visit(_Flatten())
        code = libcst.Module([]).code_for_node(flattened) if isinstance(flattened, libcst.CSTNode) else "None"
    return ast.unparse(ast.parse(f"(\n{code}\n)")) if parses(code) else "None"


class _Flatten(libcst.CSTTransformer):
    """Nested f-strings become tuples of what they evaluate."""

    def leave_FormattedString(  # noqa: N802
        self, _original: libcst.FormattedString, updated_node: libcst.FormattedString
    ) -> libcst.BaseExpression:
        parts = [part.expression for part in updated_node.parts if isinstance(part, libcst.FormattedStringExpression)]
        return libcst.Tuple([libcst.Element(part) for part in parts])
