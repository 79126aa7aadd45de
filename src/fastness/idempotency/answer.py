"""An answer as it is stored and given again: status, chosen headers, body. Where it is stored is not known here."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from starlette.responses import Response

REPLAYED = "Idempotent-Replayed"

HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-location",
        "content-type",
        "deprecation",
        "etag",
        "last-modified",
        "link",
        "location",
        "retry-after",
        "sunset",
        "vary",
    }
)
"""The headers that are stored. Others belong to one exchange (`Date`, `X-Request-ID`) or to one client (`Set-Cookie`)."""

NEVER = frozenset({"connection", "content-length", "set-cookie", "transfer-encoding", "www-authenticate"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response.

    Attributes:
        status: its status code.
        headers: names in lower case, and values.
        body: its bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, response: Response, *, headers: Collection[str] = HEADERS, max_bytes: int) -> Answer:
        """The answer that `response` gives.

        Args:
            response: not yet sent.
            headers: the names of those to keep, in lower case.
            max_bytes: of the body.

        Raises:
            RuntimeError: it streams, or its body is too long.
        """
        # Not by type: a response of another package that streams has no body either.
        body = getattr(response, "body", None)
        if not isinstance(body, bytes | memoryview):
            raise RuntimeError(  # noqa: TRY004 - a fault of the endpoint, not of a value
                f"the endpoint answers with {type(response).__name__}, whose body is made while it is sent, too late to be "
                "stored: return the whole body, or take Idempotent off the route"
            )
        if len(body) > max_bytes:
            raise RuntimeError(
                f"the answer has {len(body)} bytes, more than the {max_bytes} that are stored: answer with less (such as the "
                "location of what was made), or raise Idempotent(max_answer=...)"
            )
        kept = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.raw_headers
            if name.decode("latin-1") in headers
        )
        return cls(response.status_code, kept, bytes(body))

    def replay(self) -> Response:
        """The response that gives this answer again, and says so."""
        response = Response(self.body, self.status)
        response.raw_headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        response.raw_headers.append((REPLAYED.lower().encode(), b"true"))
        return response

    def encode(self) -> bytes:
        """As one value, for a store."""
        return json.dumps([self.status, self.headers], separators=(",", ":")).encode() + b"\n" + self.body

    @classmethod
    def decode(cls, value: bytes) -> Answer:
        """What `encode` made."""
        head, _, body = value.partition(b"\n")
        status, headers = json.loads(head)
        return cls(status, tuple((name, text) for name, text in headers), body)
