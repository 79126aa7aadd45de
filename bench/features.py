"""Before a variant is measured it is asked whether it does what the others do: comparing costs means nothing otherwise."""

from __future__ import annotations

import socket

from bench import service


def check(name: str, port: int) -> None:
    """Ask the variant at `port` for each feature that shows in a response.

    Raises:
        RuntimeError: it lacks some.
    """
    status, head = _ask(port, service.request("GET", headers={"origin": service.ORIGIN}))
    oversize = service.request("POST", body=b'{"name": "' + b"x" * service.BODY_BYTES + b'"}')
    found = {
        "an answer": status == 200,
        "a request id": b"x-request-id: " in head,
        "security headers": b"x-content-type-options: nosniff" in head and b"content-security-policy: " in head,
        "CORS": b"access-control-allow-origin: " + service.ORIGIN.encode() in head,
        "the host check": _ask(port, service.request("GET", headers={"host": "evil.example"}))[0] in (400, 421),
        "the body limit": _ask(port, oversize)[0] == 413,
        "validation": _ask(port, service.request("POST", body=b"{}"))[0] == 422,
    }
    if missing := [feature for feature, there in found.items() if not there]:
        raise RuntimeError(f"{name} lacks {', '.join(missing)}; its answer began {head[:400]!r}")


def _ask(port: int, raw: bytes) -> tuple[int, bytes]:
    """Status and lower-case head of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(raw)
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                break
            head += data
    return int(head.split(b" ", 2)[1]) if head else 0, head.partition(b"\r\n\r\n")[0].lower()
