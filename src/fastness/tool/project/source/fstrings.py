"""The f-strings of Python 3.12 (PEP 701) as older interpreters can parse them, line for line.

Strings and comments are found by scanning, since what stands inside of an f-string may hold its own quotes. One that the
running interpreter does not parse is replaced by another that evaluates the same things and ends on the same line; its
formats and literal text are lost. Everything else of the source stays as it is.
"""

from __future__ import annotations

import ast
import re

_START = re.compile(r"""#[^\n]*|(?:(?<![A-Za-z0-9_])([A-Za-z]{1,2}))?(\"\"\"|'''|"|')""")
_WORD = re.compile(r"[A-Za-z_]\w*")
_FORMATTED = frozenset({"f", "rf", "fr", "t", "rt", "tr"})
_PLAIN_END = {
    quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}" if len(quote) == 3 else rf"(?:[^\\\n]|\\.)*?{quote}", re.DOTALL)
    for quote in ("'", '"', "'''", '"""')
}
_DEBUG = re.compile(r"=\s*[!:}]")


def convert(text: str) -> str:
    """The same program, its f-strings in older syntax.

    Raises:
        SyntaxError: a string does not end.
    """
    pieces, position = [], 0
    for start, end, expressions in _Scanner(text).strings():
        source = text[start:end]
        if _is_new(expressions) and not parses(source):
            inner = ", ".join(_older(expression) for expression in expressions)
            pieces += [text[position:start], formatted(inner), "\\\n" * source.count("\n")]
            position = end
    return "".join([*pieces, text[position:]])


def formatted(inner: str) -> str:
    """An f-string of these values, or the values as a string-like call when they cannot stand inside one."""
    candidate = "f'''{(" + inner + ",)}'''" if inner else "''"
    return candidate if parses(candidate) else "str((" + inner + ",))"


def parses(source: str) -> bool:
    """The running interpreter reads it as an expression."""
    try:
        ast.parse(f"(\n{source}\n)")
    except (SyntaxError, ValueError):
        return False
    return True


def _is_new(expressions: list[str]) -> bool:
    """Something in it is why an older interpreter could refuse it: quotes, a backslash, a comment, a line break."""
    return any(character in one for one in expressions for character in "'\"\\#\n")


def _older(expression: str) -> str:
    code = convert(expression)
    return ast.unparse(ast.parse(f"(\n{code}\n)")) if parses(code) else "None"


class _Scanner:
    """Finds the f-strings of a text, and what they evaluate."""

    def __init__(self, text: str) -> None:
        self.text = text

    def strings(self) -> list[tuple[int, int, list[str]]]:
        """Every f-string that stands in no other, with its start, end and expressions."""
        found: list[tuple[int, int, list[str]]] = []
        position = 0
        while (matched := _START.search(self.text, position)) is not None:
            position = matched.end()
            if matched[2] is None:
                continue  # a comment
            expressions: list[str] = []
            position = self._string(matched.end(), (matched[1] or "").lower(), matched[2], expressions)
            if (matched[1] or "").lower() in _FORMATTED:
                found.append((matched.start(), position, expressions))
        return found

    def _string(self, position: int, prefix: str, quote: str, into: list[str]) -> int:
        """Where the string ends whose first quote ends at a position."""
        if prefix in _FORMATTED:
            return self._literal(position, quote, into, raw="r" in prefix)
        ended = _PLAIN_END[quote].match(self.text, position)
        if ended is None:
            raise SyntaxError("a string does not end")
        return ended.end()

    def _literal(self, position: int, quote: str, into: list[str], *, raw: bool) -> int:
        while True:
            if self.text.startswith(quote, position):
                return position + len(quote)
            character = self._at(position)
            if character == "\\":
                position += self._escape(position, raw=raw)
            elif character == "{" and self._at(position + 1) != "{":
                position = self._field(position + 1, into)
            elif character in "{}":
                position += 1 + (self._at(position + 1) == character)
            elif character == "\n" and len(quote) == 1:
                raise SyntaxError("a string does not end on its line")
            else:
                position += 1

    def _escape(self, position: int, *, raw: bool) -> int:
        following = self._at(position + 1)
        if following in "{}":
            return 1  # the brace is one
        if following == "N" and not raw and self._at(position + 2) == "{":
            return self.text.index("}", position) + 1 - position
        return 2

    def _field(self, position: int, into: list[str]) -> int:
        """Where a replacement field ends whose first brace ends at a position."""
        start, depth = position, 0
        while True:
            character = self._at(position)
            if depth == 0 and (character in ":}" or (character == "!" and self._at(position + 1) != "=")):
                break
            if depth == 0 and character == "=" and self.text[position - 1] not in "=!<>" and _DEBUG.match(self.text, position):
                break
            if character == "#":
                position = self.text.find("\n", position)
                if position < 0:
                    raise SyntaxError("a field does not end")
            elif character in "\"'" or _WORD.match(self.text, position) is not None:
                position = self._string_or_word(position)
            else:
                depth += (character in "([{") - (character in ")]}")
                position += 1
        into.append(self.text[start:position])
        return self._rest(position, into)

    def _string_or_word(self, position: int) -> int:
        word = _WORD.match(self.text, position)
        prefix = word[0].lower() if word is not None else ""
        if word is not None:
            position = word.end()
        if self._at(position) not in "\"'" or len(prefix) > 2:
            return position
        quote = self.text[position] * 3 if self.text.startswith(self.text[position] * 3, position) else self.text[position]
        return self._string(position + len(quote), prefix, quote, [])

    def _rest(self, position: int, into: list[str]) -> int:
        """Past the conversion and the format of a field."""
        while self._at(position) not in ":}":
            position += 1
        if self.text[position] == ":":
            position += 1
            while self._at(position) != "}":
                position = self._field(position + 1, into) if self.text[position] == "{" else position + 1
        return position + 1

    def _at(self, position: int) -> str:
        if position >= len(self.text):
            raise SyntaxError("a string does not end")
        return self.text[position]
