"""What a problem is (RFC 9457): its types, the exception that carries one, and the document a client gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastness.context import current

_RESERVED = frozenset({"type", "title", "status", "detail", "instance", "request_id"})


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem that clients can tell apart by `uri`.

    Attributes:
        uri: identifies the type (RFC 9457, section 3.1.1); it need not be resolvable.
        title: short summary, the same for every occurrence.
        status: HTTP status code, 400 to 599.
        description: for the documentation: when it happens and what a client can do.
        retry_after: whole seconds that a client should wait before it tries again (`Retry-After`, RFC 9110, section 10.2.3);
            an occurrence that knows better says so with a header of its own.
    """

    uri: str
    title: str
    status: int
    description: str = ""
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.retry_after is not None and self.retry_after < 0:
            raise ValueError(
                f"problem type {self.uri!r}: retry_after={self.retry_after!r} is not a number of seconds from 0 up"
            )
        if not 400 <= self.status <= 599:
            raise ValueError(f"problem type {self.uri!r}: status {self.status} is not an error status (400 to 599)")


def plain(status: int) -> ProblemType:
    """The type that says no more than its HTTP status: `about:blank` (RFC 9457, section 4.2.1)."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    return ProblemType("about:blank", title, status)


class Problem(Exception):  # noqa: N818 - the field's term, as RFC 9457 has it
    """Raise it anywhere in a request to answer with this problem.

    Domain code raises its own exceptions instead and has them mapped by `problems.handlers`.

    Args:
        kind: a `ProblemType`, or a status code for one that needs no type of its own.
        detail: what is wrong with this request, for the client to read; never internals.
        headers: response headers, such as `Retry-After`.
        extensions: further members of the document.
    """

    def __init__(
        self,
        kind: ProblemType | int,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        self.kind = plain(kind) if isinstance(kind, int) else kind
        if clash := _RESERVED & extensions.keys():
            raise ValueError(f"problem extension {min(clash)!r} is a member that the document already has")
        Exception.__init__(self, detail or self.kind.title)  # not super(): a subclass may be an HTTPException as well
        self.detail = detail
        self.headers = dict(headers or {})
        if self.kind.retry_after is not None and not any(name.lower() == "retry-after" for name in self.headers):
            self.headers["Retry-After"] = str(self.kind.retry_after)
        self.extensions = extensions

    def document(self) -> dict[str, Any]:
        """The problem document, with the id of the current request."""
        document: dict[str, Any] = {"type": self.kind.uri, "title": self.kind.title, "status": self.kind.status}
        if self.detail is not None:
            document["detail"] = self.detail
        context = current()
        if context is not None:
            document["request_id"] = context.request_id
        return document | self.extensions

    def body(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.document(), ensure_ascii=False, default=str, separators=(",", ":")).encode("utf-8", "replace")
