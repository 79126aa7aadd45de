"""What is kept of an error: one bounded line for whoever looks at the job, without what the error may have quoted."""

from __future__ import annotations

import re

MAX_ERROR = 500

# Credentials in a URL, and behind a name: `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`.
_URL = re.compile(r"(?<=://)[^\s/?#@]{1,512}@")
_NAMED = re.compile(
    r"(?i)\b([\w.-]{0,64}(?:password|passwd|secret|token|api[_-]?key|authorization|cookie)[\w.-]{0,64}[\"']?\s{0,4}[=:]\s{0,4})"
    r"(?:(?:bearer|basic)\s{1,4})?[^\s,;&]{1,2048}"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s{1,4}[A-Za-z0-9._~+/=-]{6,2048}")


def describe(error: BaseException) -> str:
    """`error` on one line: its type and text, cut at 500 characters, without what looks like a credential.

    Of an error of the database only the kind is kept: its text quotes rows.
    """
    name = type(error).__name__
    original = getattr(error, "orig", None)
    if isinstance(original, BaseException):
        state = getattr(original, "sqlstate", None)
        return f"{name}: {type(original).__name__}" + (f" (SQLSTATE {state})" if state else "")
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error of the app's own may do anything
        text = "[unreadable]"
    return clean(f"{name}: {text}" if text else name)


def clean(text: str) -> str:
    """`text` on one line, bounded, without what looks like a credential, and such that every database can store it."""
    text = " ".join(text[: 4 * MAX_ERROR].replace("\0", " ").split()).encode("utf-8", "replace").decode()
    text = _URL.sub("***@", text)
    text = _NAMED.sub(r"\1***", text)
    text = _BEARER.sub(r"\1 ***", text)
    return text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 3]}..."
