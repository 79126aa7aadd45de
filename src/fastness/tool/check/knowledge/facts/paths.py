"""Path templates: what they match, and a path that they match."""

from __future__ import annotations

import re
from functools import cache
from itertools import takewhile

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CONVERTERS = {
    "int": "[0-9]+",
    "float": r"[0-9]+(\.[0-9]+)?",
    "path": ".*",
    "uuid": "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}",
}
_WITNESSES = {"int": "7", "float": "7.5", "path": "~a/~b", "uuid": "00000000-0000-4000-8000-000000000000"}


def fixed(path: str) -> tuple[str, ...]:
    """The segments in front of the first that holds a parameter: what else matches the path begins with some of them."""
    return tuple(takewhile(lambda segment: "{" not in segment, path.split("/")))


@cache
def pattern(path: str) -> re.Pattern[str]:
    pieces, position = [], 0
    for parameter in _PARAMETER.finditer(path):
        pieces += [re.escape(path[position : parameter.start()]), f"(?:{_CONVERTERS.get(parameter[2] or '', '[^/]+')})"]
        position = parameter.end()
    return re.compile("".join([*pieces, re.escape(path[position:])]))


@cache
def witness(path: str) -> str:
    """A path that matches, and that fixed text of another route does not match by chance."""
    return _PARAMETER.sub(lambda parameter: _WITNESSES.get(parameter[2] or "", "~any"), path)
