"""What the whole request path costs, beside bare FastAPI and beside the stacks of public packages that do the same.

A ratio is another variant's CPU time per request over ours: above 1 the other is dearer. All servers run at once, one
worker each, and are loaded in turn within every round, so that the machine's slow drifts hit all of them; the figure of a
variant is its median over the rounds. CPU time rather than requests per second: it does not depend on what else runs.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from typing import Any

from bench import features, inprocess, service
from bench.client import load
from bench.server import Server

VARIANTS = {
    "bare": "bench.service:bare",
    "ours": "bench.ours:create",
    "hand": "bench.hand:create",
    "asgi": "bench.packages:create",
    "otel": "bench.ours:create_traced",
}
# What CI holds us to: at least, except for the time in process, which is at most.
LIMITS = {
    ("get", "ratio_bare"): 0.85,
    ("get", "ratio_hand"): 10.0,
    ("get", "ratio_asgi"): 2.5,
    ("post", "ratio_bare"): 0.85,
    ("post", "ratio_hand"): 10.0,
    ("post", "ratio_asgi"): 2.5,
    ("otel", "ratio_bare"): 0.75,
    ("in_process_us", ""): 22.0,
}


def measure(*, rounds: int = 12, count: int = 1500) -> dict[str, Any]:
    """The figures, as `scripts/bench overhead --json` prints them."""
    servers = {name: Server(factory) for name, factory in VARIANTS.items()}
    try:
        for name in ("ours", "otel", "hand", "asgi"):
            features.check(name, servers[name].port)
        cpu = asyncio.run(_cpu(servers, rounds=rounds, count=count))
    finally:
        for server in servers.values():
            server.stop()
    get, post = cpu["GET"], cpu["POST"]
    return {
        "get": _ratios(get),
        "post": _ratios(post),
        "otel": {"ratio_bare": round(get["bare"] / get["otel"], 3)},
        "in_process_us": in_process()[0],
    }


def in_process(*, processes: int = 5, connections: int = inprocess.CONNECTIONS) -> tuple[float, float]:
    """What a GET costs on top of bare FastAPI, without a socket; see `bench.inprocess`.

    Returns:
        Microseconds, and the share of bare FastAPI's own cost, which is alike on slow machines and fast ones.
    """
    variants = {name: VARIANTS[name] for name in ("bare", "ours")}
    figures = inprocess.measure(variants, method="GET", processes=processes, connections=connections)
    extra = figures["ours"] - figures["bare"]
    return round(extra, 1), round(extra / figures["bare"], 3)


def failures(figures: dict[str, Any]) -> list[str]:
    """What does not keep `LIMITS`, one line each."""
    found = []
    for (group, key), limit in LIMITS.items():
        if group not in figures:
            continue
        value = figures[group][key] if key else figures[group]
        if value > limit if not key else value < limit:
            found.append(f"{group} {key}".strip() + f" is {value}, {'at most' if not key else 'at least'} {limit} is wanted")
    return found


def _ratios(cpu: dict[str, float]) -> dict[str, float]:
    ours = cpu["ours"]
    return {
        "ratio_bare": round(cpu["bare"] / ours, 3),
        "ratio_hand": round(cpu["hand"] / ours, 2),
        "ratio_asgi": round(cpu["asgi"] / ours, 2),
    }


async def _cpu(servers: dict[str, Server], *, rounds: int, count: int) -> dict[str, dict[str, float]]:
    """Median CPU seconds per request, by method and variant."""
    samples: dict[str, dict[str, list[float]]] = {method: {name: [] for name in servers} for method in ("GET", "POST")}
    requests = {method: service.request(method) for method in samples}
    for number in range(rounds + 1):
        if sys.stderr.isatty():
            print(f"\rround {number} of {rounds}", end="\n" if number == rounds else "", file=sys.stderr, flush=True)
        for method, request in requests.items():
            # Turned round by round, so that no variant always follows the same one. Round 0 warms up.
            for name in servers if number % 2 else reversed(servers):
                # A dear variant needs fewer requests for the same share of time.
                share = count // 5 if name in ("hand", "asgi") else count
                before = servers[name].cpu()
                await load(servers[name].port, request, count=share)
                if number:
                    samples[method][name].append((servers[name].cpu() - before) / share)
    return {method: {name: statistics.median(values) for name, values in each.items()} for method, each in samples.items()}
