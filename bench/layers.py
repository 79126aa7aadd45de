"""Where the cost of the whole pass comes from: every layer alone, and all layers but one. For people who change a layer."""

from __future__ import annotations

import asyncio
import cProfile
from typing import Any

from bench import inprocess, ours, service


def measure(*, processes: int) -> dict[str, dict[str, float]]:
    """Microseconds of CPU on top of bare FastAPI, for GET and POST."""
    names = list(ours.layers())
    variants = {
        "bare": "bench.service:bare",
        "all": "bench.ours:create",
        **{f"only {name}": f"bench.ours:only:{name}" for name in names},
        **{f"without {name}": f"bench.ours:without:{name}" for name in names},
    }
    figures = {method: inprocess.measure(variants, method=method, processes=processes) for method in ("GET", "POST")}
    return {method: {name: round(us - each["bare"], 1) for name, us in each.items()} for method, each in figures.items()}


def profile(method: str = "GET") -> None:
    """Print where the whole pass and FastAPI spend their time; the profiler itself makes small functions look dear."""
    app: Any = ours.create()
    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, inprocess.least(app, service.request(method)))
    profiler.print_stats("tottime")
