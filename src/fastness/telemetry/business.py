"""Metrics of the business, apart from those of the infrastructure: events accepted, deliveries made, money moved.

They have the prefix `business_` and a section of their own on `/metrics`. What comes from a request may be a label only within
declared values or up to a number of series, so that no client can fill the memory of the service or of Prometheus.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

from fastness import _metrics

PREFIX = "business_"
OTHER = "_other"
"""The label value of everything that is out of bounds."""

Labels = Mapping[str, Collection[str] | None] | Iterable[str]

logger = logging.getLogger("fastness.telemetry")

_Kind = TypeVar("_Kind", bound=MetricWrapperBase)
# Seconds as well as small counts: what a business waits for is rarely below a tenth of a second.
_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)


def counter(
    name: str,
    help: str,  # noqa: A002 - Prometheus' own word for it
    labels: Labels = (),
    *,
    max_series: int = 200,
) -> Counter:
    """A number that only grows: `business_<name>_total`.

    Args:
        name: lower-case words joined by underscores, without the prefix and without `_total`.
        help: what is counted, for whoever reads the dashboard.
        labels: names, or a mapping from each name to its allowed values, with None for any. Any other value becomes `_other`.
        max_series: combinations of label values of this process; what goes beyond becomes `_other`, and is counted as such.

    Raises:
        ValueError: the name is taken by another kind or other labels, or a bound is out of range.
    """
    names, allowed = _declare(labels, max_series)
    return Counter(_metrics.counter(PREFIX + name, help, names, registry=_metrics.BUSINESS), allowed, max_series)


def gauge(
    name: str,
    help: str,  # noqa: A002
    labels: Labels = (),
    *,
    max_series: int = 200,
    many: _metrics.Many = "livesum",
) -> Gauge:
    """A number that goes up and down: `business_<name>`. `many` says how the values of several workers become one."""
    names, allowed = _declare(labels, max_series)
    return Gauge(_metrics.gauge(PREFIX + name, help, names, many=many, registry=_metrics.BUSINESS), allowed, max_series)


def histogram(
    name: str,
    help: str,  # noqa: A002
    labels: Labels = (),
    *,
    buckets: Iterable[float] = _BUCKETS,
    max_series: int = 200,
) -> Histogram:
    """How large something is each time: `business_<name>`; the name ends in its unit, such as `_seconds`."""
    names, allowed = _declare(labels, max_series)
    metric = _metrics.histogram(PREFIX + name, help, names, buckets=buckets, registry=_metrics.BUSINESS)
    return Histogram(metric, allowed, max_series)


class _Bounded(Generic[_Kind]):
    """Hands out the series of one metric, as many as were declared."""

    def __init__(self, metric: _Kind, allowed: dict[str, frozenset[str] | None], max_series: int) -> None:
        self._metric = metric
        self._allowed = allowed
        self._max_series = max_series
        self._series: dict[tuple[str, ...], _Kind] = {}
        self._lock = threading.Lock()
        self._warned = False
        self._overflow = _metrics.counter(
            "fastness_telemetry_label_overflow",
            "Business label values that were out of bounds and counted as `_other`.",
            ("metric",),
        )

    def _at(self, labels: Mapping[str, Any]) -> _Kind:
        if labels.keys() != self._allowed.keys():
            raise ValueError(f"metric {self._metric._name!r} has the labels {list(self._allowed)}, not {list(labels)}")
        if not labels:
            return self._metric
        key = tuple(str(labels[name]) for name in self._allowed)
        series = self._series.get(key)
        return series if series is not None else self._new(key)

    def _new(self, key: tuple[str, ...]) -> _Kind:
        within = tuple(
            value if allowed is None or value in allowed else OTHER
            for value, allowed in zip(key, self._allowed.values(), strict=True)
        )
        with self._lock:
            if within not in self._series and len(self._series) >= self._max_series:
                within = (OTHER,) * len(key)
            if within != key:
                self._report()
            if within not in self._series:
                self._series[within] = self._metric.labels(*within)
            return self._series[within]

    def _report(self) -> None:
        self._overflow.labels(self._metric._name).inc()
        if not self._warned:
            self._warned = True
            logger.warning("metric %s: label values out of bounds are counted as %s", self._metric._name, OTHER)


class Counter(_Bounded[prometheus_client.Counter]):
    """A number that only grows."""

    def add(self, amount: float = 1, /, **labels: Any) -> None:
        """Add `amount`.

        Raises:
            ValueError: the amount is negative, or the labels are not the declared ones.
        """
        self._at(labels).inc(amount)


class Gauge(_Bounded[prometheus_client.Gauge]):
    """A number that goes up and down."""

    def set(self, value: float, /, **labels: Any) -> None:
        """Set it to `value`."""
        self._at(labels).set(value)

    def add(self, amount: float = 1, /, **labels: Any) -> None:
        """Change it by `amount`, which may be negative."""
        self._at(labels).inc(amount)


class Histogram(_Bounded[prometheus_client.Histogram]):
    """How large something is each time."""

    def observe(self, value: float, /, **labels: Any) -> None:
        """Count one occurrence of that size."""
        self._at(labels).observe(value)


def _declare(labels: Labels, max_series: int) -> tuple[tuple[str, ...], dict[str, frozenset[str] | None]]:
    if max_series < 1:
        raise ValueError(f"max_series: {max_series!r} is not a positive number")
    pairs = labels.items() if isinstance(labels, Mapping) else ((name, None) for name in labels)
    allowed = {name: None if values is None else frozenset(values) for name, values in pairs}
    return tuple(allowed), allowed
