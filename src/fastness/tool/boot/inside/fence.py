"""Keeps the app from the network while it is examined. A fence against accidents, not a sandbox for hostile code."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from contextlib import suppress
from typing import Any

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of Linux's sched.h
_NEW_USER = 0x10000000
_REASON = "no network while the app is examined (fastness check --allow-network)"
_MOST = 20


def close() -> dict[str, Any]:
    """Refuse connections from now on; what was refused is added to `refused` as it happens.

    Python's own sockets are refused by an audit hook, as connections that nobody accepts. Extensions that open sockets in C
    are not seen by it; where Linux lets a process have a network namespace of its own, which holds nothing, they are stopped
    by that. `kernel` says whether it did. Sockets of the file system are out of a namespace's reach.
    """
    refused: list[str] = []
    kernel = _isolate()

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            if _is_numeric(arguments[0]):
                return
            _note(refused, arguments[0])
            raise socket.gaierror(socket.EAI_AGAIN, _REASON)
        if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
            address = arguments[1] if len(arguments) > 1 else None
            if address is None:
                return  # on a connected socket
            _note(refused, address)
            raise ConnectionRefusedError(_REASON)

    sys.addaudithook(refuse)
    return {"kernel": kernel, "refused": refused}


def _note(refused: list[str], address: Any) -> None:
    if isinstance(address, bytes):
        address = address.decode("utf-8", "replace")
    text = ":".join(str(part) for part in address[:2]) if isinstance(address, tuple) else str(address)
    if text not in refused and len(refused) < _MOST:
        refused.append(text[:200])


def _is_numeric(host: Any) -> bool:
    """An address, or the wildcard: looking it up asks nobody."""
    if host is None or host in ("", b""):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text.partition("%")[0])
        except OSError:
            continue
        return True
    return False


def _isolate() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
        user, group = os.getuid(), os.getgid()
        if user == 0:
            return bool(unshare(_NEW_NETWORK) == 0)  # a user namespace would take root's rights to the project's files
        if unshare(_NEW_USER | _NEW_NETWORK) != 0:
            return False
    except (AttributeError, OSError):
        return False
    # Files keep their owners only when the one user is mapped to itself.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with suppress(OSError), open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    return True
