"""What `fastness dev` prints once the server answers: the URLs that exist, and a `curl` that works. It runs nothing.

Everything is asked of the running service: a URL that answers 404 is not printed, and the call is one that the service
itself documents as guarded.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastness.tool.dev import token
from fastness.tool.dev.settings import DevSettings
from fastness.tool.errors import CommandError

_PAGES = {"docs": "/docs", "metrics": "/metrics", "readiness": "/readyz"}
_PATIENCE = 110.0  # seconds until the server must have answered once
_LARGEST = 8 << 20  # bytes of an answer that are read
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def base_url(listener: socket.socket) -> str:
    """Where the service on `listener` is found from this machine."""
    host, port = listener.getsockname()[:2]
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def lines(url: str, directory: Path, settings: DevSettings) -> list[str]:
    """The lines for the service at `url`, once it answers; one that says so when it does not."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await _get_when_up(f"{url}/readyz")
            found = {name: path for name, path in _PAGES.items() if (await _get(url + path))[0] != 404}
            status, body = await _get(f"{url}/openapi.json")
    except (TimeoutError, OSError, ValueError):
        return [f"{url} has not answered within {_PATIENCE:.0f} seconds"]
    greeting = [f"{'serving':<10} {url}", *(f"{name:<10} {url}{path}" for name, path in found.items())]
    if status == 200 and (call := guarded_call(json.loads(body))) is not None:
        path, scopes = call
        try:
            bearer = token.issue(directory, settings=settings, scopes=scopes)
        except CommandError as error:
            return [*greeting, f"{'no token':<10} {error}"]
        greeting.append(f"{'try it':<10} curl -i -H {shlex.quote(f'Authorization: Bearer {bearer}')} {url}{path}")
    return greeting


def guarded_call(document: dict[str, Any]) -> tuple[str, list[str]] | None:
    """A path of the OpenAPI `document` that a GET with a token alone can call, and every scope that it mentions."""
    scopes = set[str]()
    path: str | None = None
    for candidate, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if not isinstance(operation, dict) or not operation.get("security"):
                continue
            scopes.update(scope for scheme in operation["security"] for names in scheme.values() for scope in names)
            required = [parameter for parameter in operation.get("parameters", []) if parameter.get("required")]
            if method == "get" and "{" not in candidate and not required:
                path = path or candidate
    return None if path is None else (path, sorted(scopes))


async def _get_when_up(url: str) -> tuple[int, bytes]:
    while True:
        try:
            return await _get(url)
        except (OSError, EOFError, ValueError):
            await asyncio.sleep(0.2)  # it is starting, or restarting


async def _get(url: str, headers: Iterable[str] = ()) -> tuple[int, bytes]:
    """Status and body, straight to this machine: no proxy of the environment is asked."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        head = [f"GET {parts.path} HTTP/1.0", f"Host: {parts.netloc}", *headers]
        writer.write("\r\n".join([*head, "", ""]).encode())
        status_line = await reader.readline()
        status = int(status_line.split()[1])
        while (await reader.readline()).strip():
            pass
        return status, await reader.read(_LARGEST) if status == 200 else b""
    except IndexError:
        raise EOFError(f"{url}: no answer") from None
    finally:
        writer.close()
