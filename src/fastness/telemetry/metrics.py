"""`GET /metrics` for Prometheus, right with one worker and with many. It measures nothing itself.

With many workers (`PROMETHEUS_MULTIPROC_DIR`), whoever answers adds up what all of them have written.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY, CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from fastness import _metrics
from fastness._metrics import observe_pool
from fastness._processes import is_alive
from fastness.telemetry.business import PREFIX
from fastness.telemetry.server import server_metrics

__all__ = ["Section", "expose", "observe_pool", "router"]

Section = Literal["all", "infrastructure", "business"]

_WORKER_FILE = re.compile(r"_(\d+)\.db")


def router(*, path: str = "/metrics", dependencies: Sequence[Any] = ()) -> APIRouter:
    """A router that serves the metrics of all workers, in OpenMetrics or Prometheus text as the scraper asks.

    `?section=business` gives the business metrics alone, `?section=infrastructure` all others; without it the infrastructure
    comes first. It is not in the OpenAPI document.

    Args:
        path: where.
        dependencies: guards. The numbers tell a stranger much: guard them, or keep the path off the public listener.
    """
    routes = APIRouter()

    @routes.get(path, include_in_schema=False, dependencies=list(dependencies))
    async def metrics(request: Request, section: Section = "all") -> Response:
        body, content_type = await expose(request.headers.get("accept", ""), section=section)
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return routes


async def expose(accept: str = "", *, section: Section = "all") -> tuple[bytes, str]:
    """The metrics as a document, and its content type.

    Args:
        accept: the scraper's `Accept` header.
        section: which metrics.
    """
    _metrics.sample_pools()
    server_metrics().hand_over()
    encode, content_type = choose_encoder(accept)
    # In the loop's own threads: the rest of the service goes on, and a full pool of endpoint threads does not hide itself.
    return await asyncio.to_thread(_encode, encode, section), content_type


def _encode(encode: Callable[[CollectorRegistry], bytes], section: Section) -> bytes:
    view = CollectorRegistry()
    view.register(_Sections(_collect_shared if _metrics.shared() else _collect_own, section))
    return encode(view)


class _Sections(Collector):
    """The infrastructure's metrics, then those of the business, or one of the two."""

    def __init__(self, collect: Callable[[], Iterable[Metric]], section: Section) -> None:
        self._collect = collect
        self._section = section

    def collect(self) -> Iterable[Metric]:
        found = list(self._collect())
        if self._section != "business":
            yield from (metric for metric in found if not metric.name.startswith(PREFIX))
        if self._section != "infrastructure":
            yield from (metric for metric in found if metric.name.startswith(PREFIX))


def _collect_own() -> Iterator[Metric]:
    yield from REGISTRY.collect()
    yield from _metrics.BUSINESS.collect()


def _collect_shared() -> Iterator[Metric]:
    path = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    workers = _bury_the_dead(path)
    yield from _processes(workers)
    collector = MultiProcessCollector(None, str(path))  # type: ignore[no-untyped-call]
    yield from sorted(collector.collect(), key=lambda metric: metric.name)  # type: ignore[no-untyped-call]


def _bury_the_dead(path: Path) -> list[int]:
    """Take back what workers that are gone said of their present state; what they counted stays. Returns those alive."""
    workers = {int(found[1]) for file in path.glob("*.db") if (found := _WORKER_FILE.search(file.name))}
    alive = {worker for worker in workers if is_alive(worker)}
    for worker in workers - alive:
        mark_process_dead(worker, str(path))  # type: ignore[no-untyped-call]
    return sorted(alive)


def _processes(workers: Iterable[int]) -> Iterator[Metric]:
    """Memory, CPU time and open files of each worker, told apart by `pid`."""
    families: dict[str, Metric] = {}
    for worker in workers:
        for metric in ProcessCollector(pid=partial(str, worker), registry=None).collect():
            family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, {**sample.labels, "pid": str(worker)}, sample.value)
    yield from families.values()
