"""A subscriber on this machine: takes deliveries and verifies their signatures with nothing of the service's own code.

The verification is written from the Standard Webhooks specification with the standard library alone, so that the service
and the demo cannot share a mistake.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOLERANCE = 300
"""Seconds by which a delivery's timestamp may differ from now: the specification's protection against replay."""

_LARGEST = 1 << 20  # bytes of a delivery


class UntrustedError(Exception):
    """A delivery that proves nothing: unsigned, stale, changed on the way, or signed by someone else."""


def verify(*, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Accept a delivery signed with `secret`, or raise UntrustedError.

    Args:
        secret: as the service shows it, `whsec_` and base64.
        headers: of the request, by lower-case name.
        body: the very bytes received.
        now: seconds since the epoch.
    """
    try:
        message, timestamp, signatures = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise UntrustedError(f"{error.args[0]} is missing") from None
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        raise UntrustedError("the timestamp is not of these minutes")
    signed = f"{message}.{timestamp}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    if not key:
        raise UntrustedError("there is no secret to verify it with")
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    # Several while a secret is being replaced. Those of other schemes (`v1a,`) are not ours to judge.
    candidates = [value for scheme, _, value in (part.partition(",") for part in signatures.split()) if scheme == "v1"]
    if not any(hmac.compare_digest(candidate.encode(), expected.encode()) for candidate in candidates):
        raise UntrustedError("no signature is the secret's")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified delivery.

    Attributes:
        headers: by lower-case name.
        body: as received.
        content: the body, parsed.
    """

    headers: dict[str, str]
    body: bytes
    content: Any


class Receiver:
    """An HTTP server on a free port that answers 204 to what `verify` accepts and 401 to everything else.

    Attributes:
        deliveries: what was accepted so far, oldest first.
        refused: how many requests were not.
        secret: what deliveries are verified with; nothing is accepted before it is set.
    """

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.refused = 0
        self.secret = ""
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)

    @property
    def url(self) -> str:
        """Where deliveries are taken."""
        return f"http://127.0.0.1:{self._server.server_port}/hooks"

    def wait_for(self, done: Callable[[list[Delivery]], bool], *, seconds: float) -> bool:
        """Whether the deliveries satisfy `done` within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: done(self.deliveries), timeout=seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        with self._changed:
            try:
                verify(secret=self.secret, headers=headers, body=body, now=time.time())
                self.deliveries.append(Delivery(headers, body, json.loads(body)))
            except (UntrustedError, ValueError):
                self.refused += 1
                return 401
            self._changed.notify_all()
            return 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "0")
                body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= _LARGEST else b""
                self.send_response(take({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """The demo tells its story itself."""

        return Handler
