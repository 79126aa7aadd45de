"""Takes secrets out of values on their way into a log, by the names of fields and by what secrets look like.

It only ever takes away: a value that it cannot read, bound or write as JSON comes out as text that says so. It never raises.
Every pattern is linear in the text, because the text is what somebody else sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

# Names are compared without case and separators, so that `apiKey`, `API_KEY` and `X-Api-Key` are one.
_SECRET_PARTS = (
    "accesskey", "apikey", "authorization", "cookie", "credential", "jwt", "passphrase", "passwd", "password", "privatekey",
    "secret", "sessionid", "signingkey", "token",
)  # fmt: skip
_SECRET_NAMES = frozenset({"auth", "dsn", "otp", "pin", "pwd", "sid"})
# These say something about a secret, not the secret.
_HARMLESS_NAMES = frozenset({"tokentype", "tokencount", "secretname", "secretid", "passwordset", "cookiename"})

# Bounds on one value, so that neither a cycle nor a body that was logged by mistake fills the disk.
_MAX_DEPTH = 8
_MAX_ITEMS = 200
_MAX_TEXT = 16_384
# What is cut off is searched this much further, so that the cut does not leave half a secret that nothing recognises.
_OVERLAP = 4_096

# What secrets look like, each with the words without which a text need not be searched.
_LOOKS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    # RFC 9110, section 11.4: credentials behind their scheme, whatever name they stand under.
    (
        ("bearer", "basic", "digest", "apikey"),
        re.compile(r"(?i:\b(bearer|basic|digest|apikey))(\s++)(?!realm\b)[A-Za-z0-9._~+/=:-]{6,}"),
        rf"\1\2{REDACTED}",
    ),
    # RFC 7519: a JSON object in base64url begins with `eyJ`.
    (("eyj",), re.compile(r"eyJ[A-Za-z0-9_-]{4,4096}+\.[A-Za-z0-9_.-]*"), REDACTED),
    # RFC 3986, section 3.2.1: the password in a URL or DSN. A raw `@` in it is forgiven, so the last one counts.
    (
        ("://",),
        re.compile(r"(?i:(?<![a-z0-9+.-])([a-z0-9+.-]++://[^\s/?#:@\"']*+)):[^\s/?#\"'<>]*@"),
        rf"\1:{REDACTED}@",
    ),
    # `fastness.auth` API keys, `<prefix>_<id>_<secret>`: the id may stay, it is public.
    (("_",), re.compile(r"\b([a-z][a-z0-9]{0,15}_[0-9a-f]{16})_[A-Za-z0-9]{8,}"), rf"\1_{REDACTED}"),
    (
        ("private key",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        REDACTED,
    ),
)
# `password=...`, `"client_secret": "..."`, a query string, a libpq DSN, the repr of a dict, a header line.
_NAME = re.compile(r"(?<![\w.-])([\w.-]++)[\"']?\s*+[=:]\s*+")
_VALUE = re.compile(r"""b?(?:"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s,;&"'(){}\[\]]++)""", re.DOTALL)
_HEADER_VALUE = re.compile(r"""b?(?:"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\r\n"'{}\[\]]++)""", re.DOTALL)


class Redactor:
    """Makes values plain JSON values without secrets.

    Args:
        names: further field names whose values are secrets, beyond the usual ones; case and separators do not matter.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        further = frozenset(_squash(name) for name in names)

        @lru_cache(maxsize=4096)
        def is_secret(name: str) -> bool:
            squashed = _squash(name)
            if squashed in further or squashed in _SECRET_NAMES:
                return True
            return squashed not in _HARMLESS_NAMES and any(part in squashed for part in _SECRET_PARTS)

        self._is_secret: Callable[[str], bool] = is_secret

    def text(self, text: str) -> str:
        """`text` without anything that looks like a credential, and no longer than 16 KiB."""
        length = len(text)
        if length > _MAX_TEXT:
            text = text[: _MAX_TEXT + _OVERLAP]
        lower = text.lower()
        for words, pattern, replacement in _LOOKS:
            if _any(words, lower):
                text = pattern.sub(replacement, text)
        if "=" in text or ":" in text:
            text = self._named(text)
        return text if length <= _MAX_TEXT else f"{text[:_MAX_TEXT]} [cut off, {length} characters]"

    def _named(self, text: str) -> str:
        clean, end = "", 0
        for name in _NAME.finditer(text):
            if name.start() < end or not self._is_secret(name[1][-100:]):
                continue
            # Cookies and credentials of other schemes go on to the end of their line.
            header = name[1].lower().endswith(("authorization", "cookie"))
            value = (_HEADER_VALUE if header else _VALUE).match(text, name.end())
            if value is not None:
                clean += text[end : name.end()] + REDACTED
                end = value.end()
        return clean + text[end:]

    def fields(self, fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """A copy of `fields` with every secret replaced, nested ones too."""
        clean: dict[str, Any] = {}
        for count, (key, value) in enumerate(fields.items()):
            if count == _MAX_ITEMS:
                clean["..."] = f"{len(fields) - count} more"
                break
            name = key if isinstance(key, str) else _text(key)
            # That a secret is missing is worth knowing, and no secret.
            secret = value is not None and value is not True and value is not False and self._is_secret(name[-100:])
            clean[self.text(name)] = REDACTED if secret else self.value(value, depth + 1)
        return clean

    def value(self, value: Any, depth: int = 0) -> Any:
        """`value` as a plain JSON value without secrets."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if value is None or kind is bool or kind is int or (kind is float and math.isfinite(value)):
            return value
        try:
            if isinstance(value, Mapping | list | tuple | set | frozenset):
                return self._items(value, depth) if depth < _MAX_DEPTH else "[nested too deep]"
            if isinstance(value, bytes | bytearray | memoryview):
                return f"[{len(value)} bytes]"
            return self.text(_text(value))
        except Exception:  # noqa: BLE001 - an object of the app's own may do anything, and a log line must not fail for it
            return f"[unreadable {kind.__name__}]"

    def _items(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self.fields(value, depth)
        items = [self.value(item, depth + 1) for _, item in zip(range(_MAX_ITEMS), value, strict=False)]
        if len(value) > _MAX_ITEMS:
            items.append(f"{len(value) - _MAX_ITEMS} more")
        return items


def _any(words: tuple[str, ...], text: str) -> bool:
    for word in words:  # noqa: SIM110 - a generator costs more than the search
        if word in text:
            return True
    return False


def _squash(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see above
        return f"[unreadable {type(value).__name__}]"
