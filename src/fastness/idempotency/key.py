"""The request header `Idempotency-Key`, by draft-ietf-httpapi-idempotency-key-header-07. What it is for is not here."""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = "Idempotency-Key"
MAX_LENGTH = 255

# A structured field's string (RFC 9651, section 3.3.3) with its parameters, of which none means anything here.
_STRING = r'"((?:[ !#-\[\]-~]|\\["\\])*)"'
_BARE = r"[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*|-?[0-9]{1,15}(?:\.[0-9]{1,3})?|:[A-Za-z0-9+/=]*:|\?[01]|" + _STRING
_QUOTED = re.compile(rf"{_STRING}(?: *; *[a-z*][a-z0-9_.*-]*(?:=(?:{_BARE}))?)*")
# What most clients send instead: the characters as they are.
_PLAIN = re.compile(r"[!#-~](?:[ -~]*[!-~])?")
_ESCAPE = re.compile(r'\\(["\\])')

SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_LENGTH,
    "pattern": r'^("([ !#-\[\]-~]|\\["\\])+"|[!#-~]([ -~]*[!-~])?)$',
}


class InvalidKey(ValueError):  # noqa: N818 - a verdict on what the client sent
    """What the client sent is not a key. The text says why and does not quote it."""


def parse(lines: Sequence[str]) -> str | None:
    """The key of a request, None where it has none.

    Args:
        lines: the values of all header lines of that name.

    Raises:
        InvalidKey: there are several, or the one is not 1 to 255 printable ASCII characters.
    """
    if not lines:
        return None
    if len(lines) > 1:
        raise InvalidKey(f"{HEADER} was sent {len(lines)} times; send it once.")
    text = lines[0].strip(" \t")
    if text.startswith('"'):
        match = _QUOTED.fullmatch(text)
        key = _ESCAPE.sub(r"\1", match[1]) if match else None
    else:
        key = text if _PLAIN.fullmatch(text) else None
    if key is None:
        raise InvalidKey(f'{HEADER} must be printable ASCII, as it is or as a quoted string ("...").')
    if not 1 <= len(key) <= MAX_LENGTH:
        raise InvalidKey(f"{HEADER} has {len(key)} characters; it must have 1 to {MAX_LENGTH}.")
    return key
