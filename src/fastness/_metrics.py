"""Prometheus metrics of the runtime: one factory, so that every module declares its own and none is declared twice.

The one door to `prometheus_client`'s metric classes. Names and labels follow the OpenTelemetry semantic conventions in
Prometheus spelling. What is exposed and how belongs to `fastness.telemetry.metrics`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import values as _values
from prometheus_client.metrics import MetricWrapperBase

# How the values that several workers hold of one gauge become one; `live` leaves out workers that are gone.
Many = Literal["livesum", "livemax", "livemin", "livemostrecent", "liveall", "sum", "max", "min", "mostrecent", "all"]

# Metrics that the app declares for its business, apart from those of the infrastructure.
BUSINESS = CollectorRegistry()

_Metric = TypeVar("_Metric", bound=MetricWrapperBase)
_made: dict[str, tuple[MetricWrapperBase, tuple[float, ...]]] = {}
_pools: dict[str, Callable[[], tuple[float, float]]] = {}
_lock = threading.RLock()
_run_lock: list[int] = []


def counter(
    name: str,
    help: str,  # noqa: A002 - Prometheus' own word for it
    labels: Iterable[str] = (),
    *,
    registry: CollectorRegistry = REGISTRY,
) -> Counter:
    """The process-wide counter of that name; `_total` is added on exposition.

    Raises:
        ValueError: the name is taken by a metric of another kind or with other labels. So for all that follow.
    """
    return _make(name, Counter, labels, lambda names: Counter(name, help, names, registry=registry))


def gauge(
    name: str,
    help: str,  # noqa: A002
    labels: Iterable[str] = (),
    *,
    many: Many = "livesum",
    registry: CollectorRegistry = REGISTRY,
) -> Gauge:
    """The process-wide gauge of that name; `many` says how the values of several workers become one."""
    return _make(name, Gauge, labels, lambda names: Gauge(name, help, names, registry=registry, multiprocess_mode=many))


def histogram(
    name: str,
    help: str,  # noqa: A002
    labels: Iterable[str] = (),
    *,
    buckets: Iterable[float],
    registry: CollectorRegistry = REGISTRY,
) -> Histogram:
    """The process-wide histogram of that name, with the given upper bounds."""
    bounds = tuple(buckets)
    made = _make(name, Histogram, labels, lambda names: Histogram(name, help, names, registry=registry, buckets=bounds), bounds)
    if _made[name][1] != bounds:
        raise ValueError(f"metric {name!r} is already declared with the bounds {_made[name][1]}, not {bounds}")
    return made


def widened_histogram(
    name: str,
    help: str,  # noqa: A002
    labels: Iterable[str] = (),
    *,
    buckets: Iterable[float],
) -> Histogram:
    """The process-wide histogram of that name, with at least the given upper bounds.

    Where it exists without some of them, a new one with the bounds of both takes its place and its counts start anew: a process
    that makes several apps, as tests do, measures each of them at its own objectives.
    """
    with _lock:
        bounds = tuple(buckets)
        made, present = _made.get(name, (None, bounds))
        if isinstance(made, Histogram) and not set(bounds) <= set(present):
            REGISTRY.unregister(made)
            del _made[name]
        return histogram(name, help, labels, buckets=sorted({*bounds, *present}))


def _make(
    name: str,
    kind: type[_Metric],
    labels: Iterable[str],
    make: Callable[[tuple[str, ...]], _Metric],
    bounds: tuple[float, ...] = (),
) -> _Metric:
    names = tuple(labels)
    with _lock:
        if name not in _made:
            prepare()
            _made[name] = make(names), bounds
        made = _made[name][0]
    if not isinstance(made, kind) or made._labelnames != names:
        raise ValueError(f"metric {name!r} is already declared as another kind or with other labels than {names}")
    return made


def observe_pool(name: str, usage: Callable[[], tuple[float, float]]) -> Callable[[], None]:
    """Show how full a pool is, as the gauges `fastness_pool_used` and `fastness_pool_size`.

    Args:
        name: the value of the label `pool`: `database`, `threads`; a later pool of the same name takes its place.
        usage: gives what is in use and what there is; called on the event loop at every scrape, so it must not block.

    Returns:
        A function that takes the pool off the exposition again.
    """
    _pools[name] = usage

    def forget() -> None:
        if _pools.get(name) is usage:
            del _pools[name]
            for metric in _pool_gauges():
                if shared():  # where a series cannot be taken back
                    metric.labels(name).set(0)
                else:
                    metric.remove(name)

    return forget


def sample_pools() -> None:
    """Read every observed pool into its gauges. A pool that cannot be read keeps its last values."""
    if not _pools:
        return
    used, size = _pool_gauges()
    for name, usage in list(_pools.items()):
        try:
            in_use, there = usage()
        except Exception:  # noqa: BLE001, S112 - one broken pool must not hide the others, nor fail the scrape
            continue
        used.labels(name).set(in_use)
        size.labels(name).set(there)


def _pool_gauges() -> tuple[Gauge, Gauge]:
    return (
        gauge("fastness_pool_used", "Members of the pool that are in use.", ("pool",)),
        gauge("fastness_pool_size", "Members that the pool can have.", ("pool",)),
    )


def shared() -> bool:
    """Whether several workers share their metrics through `PROMETHEUS_MULTIPROC_DIR`."""
    # prometheus_client decides once, when it is imported; asking the environment again could give another answer.
    return bool(getattr(_values.ValueClass, "_multiprocess", False))


def prepare() -> None:
    """Clear what an earlier run left in `PROMETHEUS_MULTIPROC_DIR`, once, before this process writes there.

    Workers of one run share the directory, and each holds a shared lock on it as long as it lives. Whoever finds nobody
    holding it is the first of a new run and wipes the files; the kernel drops the lock of a killed worker.
    """
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not directory or _run_lock:
        return
    import fcntl

    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    # Taking the exclusive lock and turning it into a shared one is not one step, so the two are done under another lock.
    turn = os.open(path / ".turn", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        run = os.open(path / ".run", os.O_RDWR | os.O_CREAT, 0o600)
        _run_lock.append(run)
        try:
            fcntl.flock(run, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Others of this run are at work. Only a file under our own process id can be stale.
            stale = path.glob(f"*_{os.getpid()}.db")
        else:
            stale = path.glob("*.db")
        mapped = _mapped_files()
        for file in stale:
            if str(file.resolve()) not in mapped:
                file.unlink(missing_ok=True)
        fcntl.flock(run, fcntl.LOCK_SH)
    finally:
        os.close(turn)


def _mapped_files() -> str:
    """The files that this process has mapped: metrics that a library declared before ours must not be wiped."""
    try:
        return Path("/proc/self/maps").read_text()
    except OSError:
        return ""
