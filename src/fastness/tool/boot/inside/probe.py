"""Asks a booted app what only requests can tell: how it fails, what its headers say, whom it lets in, what stops its loop.

Failures are provoked on routes of our own, added beside those of the app that serves most operations, so that no endpoint of
the project runs for them; what answers is the app's middleware and handlers. Then each GET operation that needs no more than
simple values is called, twice, without credentials. GET is safe by its definition (RFC 9110, section 9.2.1); nothing else of
the project's is called.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

from .client import Answer, Client, Lifespan
from .load import Loaded
from .watch import Watch

_CANARY = "fastness-canary-5e7d1f"
_BASE = "/fastness-check-5e7d1f"
_ORIGIN = "https://fastness-check.example"
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_REQUEST_ID = "fastness-check-0001"
_HOSTS = ("localhost", "127.0.0.1", "testserver")
_CHUNK = 1 << 20
_CHUNKS = 48
_STALL = 0.2  # seconds; a loop that is busy for shorter is not what anybody notices
_MOST_ROUTES = 300
_MOST_CALLS = 5  # of one route
_ASKING = 0.8  # of the time; the rest is for the shutdown
_VALUES = {"int": "1", "float": "1.0", "bool": "true", "str": "x", "uuid.UUID": "00000000-0000-4000-8000-000000000000"}
_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")


def probe(loaded: Loaded, document: dict[str, Any], *, lifespan: bool, seconds: float) -> dict[str, Any]:
    """Ask, and give the answers as JSON.

    Args:
        lifespan: run the app's start-up before and its shutdown after.
        seconds: for all of it; each answer and each step of the lifespan gets a share.
    """
    return asyncio.run(_probe(loaded, document, lifespan, seconds))


async def _probe(loaded: Loaded, document: dict[str, Any], lifespan: bool, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds * _ASKING
    found: dict[str, Any] = {
        "lifespan": None,
        "host": None,
        "answers": {},
        "requests": [],
        "canary": _CANARY,
        "origin": _ORIGIN,
    }
    client = Client(loaded.outer, host=_HOSTS[0], seconds=min(5.0, seconds / 4))
    life = Lifespan(loaded.outer, seconds=seconds / 3)
    base = document["apps"][document["main"]]["prefix"] + _BASE
    _add_routes(loaded.main)
    if lifespan:
        failed = await life.start()
        found["lifespan"] = {"error": failed}
        client.state = life.state if failed is None else {}
    try:
        found["host"] = await _host(client, document, base)
        if found["host"] is not None:
            for name, question in _questions(base).items():
                if time.monotonic() < until:
                    found["answers"][name] = (await client.ask(**question)).document()
            await _endpoints(client, document, found["requests"], until)
    finally:
        if lifespan:
            stopped = await life.stop()
            found["lifespan"]["error"] = found["lifespan"]["error"] or stopped
    return found


# -- our own routes


def _add_routes(app: Any) -> None:
    from fastapi.routing import APIRoute
    from pydantic import create_model
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def fine(_: Any) -> Any:
        return JSONResponse({"fine": True}, headers={"x-fastness-reached": "1"})

    async def fails(_: Any) -> Any:
        raise RuntimeError(_CANARY)

    async def reads(request: Any) -> Any:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return JSONResponse({"read": size}, headers={"x-fastness-reached": "1"})

    model: Any = create_model("FastnessCheck", username=(str, ...), password=(str, ...))

    async def takes(body: Any) -> Any:  # noqa: ARG001 - read by FastAPI
        return {}

    takes.__annotations__ = {"body": model}
    added = [
        Route(_BASE + "/fine", fine, methods=["GET"]),
        Route(_BASE + "/fails", fails, methods=["GET"]),
        Route(_BASE + "/reads", reads, methods=["POST"]),
        APIRoute(_BASE + "/takes", takes, methods=["POST"], response_model=None, include_in_schema=False),
    ]
    app.router.routes[:0] = added  # first, so that no route of the project takes their place


async def _host(client: Client, document: dict[str, Any], base: str) -> str | None:
    """The first host name that the app answers to."""
    allowed = [
        str(host).replace("*.", "www.")
        for app in document["apps"]
        for entry in app["middleware"]
        for host in (entry["options"].get("allowed_hosts") or ())
        if isinstance(host, str) and host not in ("*", "<")
    ]
    for host in (*_HOSTS, *allowed):
        client.host = host
        answer = await client.ask("GET", base + "/fine")
        if answer.status != 400 and not 300 <= answer.status < 400:
            return host
    return None


def _questions(base: str) -> dict[str, dict[str, Any]]:
    """What is asked of our own routes, by the name under which its answer is known."""
    fine, fails, reads, takes = ({"path": base + path} for path in ("/fine", "/fails", "/reads", "/takes"))
    get, post, typed = {"method": "GET"}, {"method": "POST"}, {"content-type": "application/json"}
    large = {**post, **reads, "headers": typed, "body": [b"x" * _CHUNK] * _CHUNKS}
    foreign = {"origin": _ORIGIN}
    preflight = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    traced = {"headers": {"x-request-id": _REQUEST_ID, "traceparent": "00-%s-00f067aa0ba902b7-01" % _TRACE}}
    return {
        "fine": {**get, **fine},
        "missing": {**get, "path": base + "/missing"},
        "method": {**post, **fine},
        "invalid": {**post, **takes, "headers": typed, "body": [json.dumps({"password": _CANARY}).encode("utf-8")]},
        "failed": {**get, **fails},
        "oversized": large,
        "unannounced": {**large, "length": False},
        "origin": {**get, **fine, "headers": {"cookie": "session=x", **foreign}},
        "failed_origin": {**get, **fails, "headers": foreign},
        "preflight": {"method": "OPTIONS", **fine, "headers": {**preflight, **foreign}},
        "correlated": {**get, **fine, **traced},
        "correlated_failure": {**get, **fails, **traced},
    }


# -- the project's


async def _endpoints(client: Client, document: dict[str, Any], requests: list[dict[str, Any]], until: float) -> None:
    """Call what can be called, twice, and watch the loop meanwhile: what a first call alone holds it for imports and compiles.

    A loop that was held while nobody saw by what, because the machine gave the watch no processor, is asked again.
    """
    async with Watch(seconds=_STALL) as watch:
        for number, route in enumerate(document["routes"][:_MOST_ROUTES]):
            request = _request(route)
            if request is None:
                continue
            path, query = request
            stall, stalls = None, 0
            answer = Answer()
            for call in range(1, _MOST_CALLS + 1):
                if time.monotonic() > until:
                    return
                watch.reset()
                answer = await client.ask("GET", path, query=query)
                stall = watch.stall
                stalls += stall is not None
                if call > 1 and (stalls > 1 or not watch.held):
                    break
            if stalls < 2:
                stall = None
            requests.append(
                {
                    "route": number,
                    "path": path,
                    **answer.document(),
                    "body": answer.body[:2000],
                    "seconds": round(answer.seconds, 3),
                    "stall": None if stall is None else {"seconds": round(stall[0], 3), "stack": stall[1]},
                }
            )


def _request(route: dict[str, Any]) -> tuple[str, str] | None:
    """Path and query for a GET operation whose parameters are simple; None for everything else."""
    if route["kind"] not in ("api", "plain") or "GET" not in route["methods"] or route["hidden_by"] is not None:
        return None
    if route["endpoint"] is None or route["endpoint"]["name"].startswith("fastapi."):
        return None  # FastAPI's own, such as /docs
    types = {one["name"]: one["type"] for one in route["parameters"] if one["in"] == "path"}
    query = []
    for one in route["parameters"]:
        if one["in"] == "body" or (one["in"] not in ("path", "query") and one["required"]):
            return None
        if one["in"] == "query" and one["required"]:
            if one["type"] not in _VALUES:
                return None
            query.append("%s=%s" % (one["name"], _VALUES[one["type"]]))
    unknown = [name for name, kind in types.items() if kind not in _VALUES]
    if unknown:
        return None
    path = _PARAMETER.sub(lambda m: _value(m.group(2), types.get(m.group(1))), route["path"])
    return path, "&".join(query)


def _value(convertor: str | None, kind: str | None) -> str:
    if convertor in ("int", "float"):
        return "1"
    if convertor == "uuid":
        return _VALUES["uuid.UUID"]
    return _VALUES.get(kind or "", "x")
