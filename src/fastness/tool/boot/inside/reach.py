"""Which routes no request can reach: asked of the routes themselves, with paths that they were written for."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
# Values that a parameter takes. Several, so that a pattern which takes one of them by chance does not count.
_WITNESSES = {
    "": ("~any", "7", "a.b"),
    "str": ("~any", "7", "a.b"),
    "int": ("7", "40"),
    "float": ("7.5", "40"),
    "path": ("~a/~b", "7", "x/y/z"),
    "uuid": ("00000000-0000-4000-8000-000000000000", "a2b5fb6e-6f2c-4f0e-9d6d-2c1d3f0e4b5a"),
}
_HTTP = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD")


def hidden(routes: list[Any]) -> dict[int, int]:
    """By the position of every route that is never reached, the position of the one that answers instead.

    A route counts as unreachable when earlier ones take all its witnesses, with each of its methods.
    """
    found: dict[int, int] = {}
    for position, route in enumerate(routes):
        scopes = _scopes(route)
        if not scopes or not all(_takes(route, scope) for scope in scopes):
            continue  # nothing to try, or a pattern that is not understood here
        first = _taker(routes[:position], scopes[0])
        if first is not None and all(_taker(routes[:position], scope) is not None for scope in scopes[1:]):
            found[position] = first
    return found


def _taker(routes: list[Any], scope: dict[str, Any]) -> int | None:
    return next((position for position, route in enumerate(routes) if _takes(route, scope)), None)


def _scopes(route: Any) -> list[dict[str, Any]]:
    original = getattr(route, "original_route", route)
    path = getattr(route, "path", None)
    if path is None or type(original).__name__ in ("Mount", "Host"):
        return []
    methods = getattr(route, "methods", None)
    paths = _paths(path)
    if methods is None:
        kind = "websocket" if "WebSocket" in type(original).__name__ else ""
        return [_scope(kind, "GET", one) for one in paths] if kind else []
    # HEAD comes with GET, and is nobody's purpose beside it.
    wanted = [method for method in sorted(methods) if method in _HTTP and not (method == "HEAD" and "GET" in methods)]
    return [_scope("http", method, one) for method in wanted for one in paths]


def _paths(path: str) -> list[str]:
    kinds = [match.group(2) or "" for match in _PARAMETER.finditer(path)]
    if any(kind not in _WITNESSES for kind in kinds):
        return []
    turns = max([len(_WITNESSES[kind]) for kind in kinds], default=1)
    return [_PARAMETER.sub(partial(_witness, turn), path) for turn in range(turns)]


def _witness(turn: int, parameter: Any) -> str:
    values = _WITNESSES[parameter.group(2) or ""]
    return values[turn % len(values)]


def _scope(kind: str, method: str, path: str) -> dict[str, Any]:
    return {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8"),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "query_string": b"",
        "path_params": {},
        "scheme": "http" if kind == "http" else "ws",
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
    }


def _takes(route: Any, scope: dict[str, Any]) -> bool:
    try:
        match, _ = route.matches(dict(scope))
    except Exception:
        return False  # a route of the project's own making, or one that looks at more than a path
    return getattr(match, "name", "") == "FULL"
