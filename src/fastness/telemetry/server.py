"""The metrics of the HTTP server, one set for the process: durations, body sizes, requests in flight, lag of the event loop.

Names and labels follow https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ in Prometheus spelling. Every label is
bounded: methods to the known ones, routes to the app's templates, status codes to 100 to 599.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from weakref import WeakSet

from anyio.to_thread import current_default_thread_limiter
from prometheus_client import Histogram

from fastness import _metrics

OTHER = "_OTHER"
"""The label of every method and status code that HTTP does not know."""

# RFC 9110, section 9; RFC 5789 (PATCH); QUERY.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
# Seconds, as the semantic conventions advise; every SLO threshold is added.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_SIZES = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)
_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LAG_INTERVAL = 0.5


class Tally:
    """Observations on their way into a histogram: counting in plain numbers costs a request next to nothing.

    Attributes:
        histogram: where they go.
        bounds: upper bounds of the buckets, but for the last, which has none.
        counts: observations in each bucket since they were last handed over.
        total: their sum.
    """

    __slots__ = ("bounds", "counts", "histogram", "total")

    def __init__(self, histogram: Histogram) -> None:
        self.histogram = histogram
        self.bounds: list[float] = histogram._upper_bounds[:-1]
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def hand_over(self) -> None:
        """Add what was counted to the histogram."""
        for bucket, count in enumerate(self.counts):
            if count:
                self.histogram._buckets[bucket].inc(count)
                self.counts[bucket] = 0
        if self.total:
            self.histogram._sum.inc(self.total)
            self.total = 0.0


class Series:
    """The label children that one kind of answer is counted in, its labels, and what its log lines have in common."""

    __slots__ = ("_shared", "duration", "heads", "method", "output", "route", "server_error", "size", "status")

    def __init__(self, metrics: ServerMetrics, method: str, route: str, status: int) -> None:
        self.method = method
        self.route = route
        self.status = str(status) if status else OTHER
        self.server_error = status >= 500
        # The access log's: what its lines for `output` have in common, those of answers and those of failures.
        self.output: object = None
        self.heads = ("", "")
        self._shared = _metrics.shared()
        self.duration = Tally(metrics.duration.labels(method, route, self.status))
        self.size = Tally(metrics.size.labels(method, route))

    def observe(self, seconds: float, size: int) -> None:
        """Count one answer."""
        if self._shared:
            # Other workers read what is written, also after a kill -9 of this one.
            self.duration.histogram.observe(seconds)
            self.size.histogram.observe(size)
            return
        duration = self.duration
        duration.counts[bisect_left(duration.bounds, seconds)] += 1
        duration.total += seconds
        sizes = self.size
        sizes.counts[bisect_left(sizes.bounds, size)] += 1
        sizes.total += size


class ServerMetrics:
    """What every `TelemetryMiddleware` of the process counts in.

    Attributes:
        active: requests that are being handled by this process.
        series: where answers are counted, by method, route template and status; `add` makes what is missing.
    """

    def __init__(self) -> None:
        self.active = 0
        self.series: dict[tuple[str, str, int], Series] = {}
        self.widen(())
        self.size = _metrics.histogram(
            "http_server_response_body_size_bytes",
            "Size of response bodies, as handed to the server.",
            ("http_request_method", "http_route"),
            buckets=_SIZES,
        )
        self._incomplete = _metrics.counter(
            "fastness_telemetry_incomplete_responses",
            "Responses that started and did not end: the app failed half-way, or the client went away.",
            ("http_request_method", "http_route", "reason"),
        )
        gauge = _metrics.gauge("http_server_active_requests", "Requests that are being handled.")
        # A number that is asked for at scrape costs requests nothing; what other processes are to see must be written.
        self._active = gauge if _metrics.shared() else None
        if self._active is None:
            gauge.set_function(lambda: self.active)

    def widen(self, thresholds: Iterable[float]) -> None:
        """Make every threshold, in seconds, a bound of the duration histogram: the share of requests below it is then exact."""
        self.duration = _metrics.widened_histogram(
            "http_server_request_duration_seconds",
            "Time from the request's arrival to the last part of its response.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=sorted({*_DURATIONS, *thresholds}),
        )
        self.hand_over()
        self.series.clear()

    def count(self, change: int) -> None:
        """A request has arrived (1) or ended (-1)."""
        self.active += change
        if self._active is not None:
            self._active.set(self.active)

    def add(self, method: str, route: str, status: int) -> Series:
        """Where answers with that method, route template and status are counted."""
        # Only bounded values become keys: a client that makes up methods fills nothing.
        key = (method if method in _METHODS else OTHER, route, status if 100 <= status <= 599 else 0)
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series(self, *key)
        return series

    def hand_over(self) -> None:
        """Bring the histograms up to date. Call it on the event loop, where requests are counted, before they are read."""
        for series in list(self.series.values()):
            series.duration.hand_over()
            series.size.hand_over()

    def incomplete(self, series: Series, reason: str) -> None:
        """A response was cut off, for the reason `error` or `disconnect`."""
        self._incomplete.labels(series.method, series.route, reason).inc()


class LoopWatch:
    """Measures how late the event loop runs its timers: what blocks it makes every request wait that long.

    It also watches the threads that sync endpoints run in, as the pool `threads`.
    """

    def __init__(self, *, interval: float = _LAG_INTERVAL) -> None:
        self._interval = interval
        self._last: asyncio.AbstractEventLoop | None = None
        self._watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._lag = _metrics.histogram(
            "fastness_event_loop_lag_seconds", "How late the event loop ran a timer, twice a second.", buckets=_LAGS
        )

    def ensure(self) -> None:
        """Watch the running event loop, if that is not done already. Call it from a task."""
        loop = asyncio.get_running_loop()
        if loop is self._last:
            return
        self._last = loop
        if loop not in self._watched:
            self._watched.add(loop)
            limiter = current_default_thread_limiter()
            _metrics.observe_pool("threads", lambda: (limiter.borrowed_tokens, limiter.total_tokens))
            self._wait(loop)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._interval
        loop.call_at(due, self._tick, loop, due)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._lag.observe(max(0.0, loop.time() - due))
        server_metrics().hand_over()
        if _metrics.shared():
            # Whoever answers the scrape sees only what the other workers have written.
            _metrics.sample_pools()
        self._wait(loop)


@cache
def server_metrics() -> ServerMetrics:
    """The process's one set, made when the first middleware needs it."""
    return ServerMetrics()


@cache
def loop_watch() -> LoopWatch:
    """The process's one watch."""
    return LoopWatch()
