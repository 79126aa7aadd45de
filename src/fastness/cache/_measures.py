"""What is counted of a cache, by its declared name."""

from __future__ import annotations

from fastness import _metrics

_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """The metrics of one cache."""

    def __init__(self, cache: str) -> None:
        requests = _metrics.counter(
            "fastness_cache_requests",
            "Values asked for, by result: hit, stale (given at once, a newer one is loaded) or miss.",
            ("cache", "result"),
        )
        loads = _metrics.histogram(
            "fastness_cache_load_seconds", "Time of loads, by outcome: ok, failed.", ("cache", "outcome"), buckets=_BUCKETS
        )
        self._errors = _metrics.counter(
            "fastness_cache_errors",
            "Steps at the store that failed or took too long, each counted as a miss.",
            ("cache", "step"),
        )
        self._cache = cache
        self.hit, self.stale, self.miss = (requests.labels(cache, result) for result in ("hit", "stale", "miss"))
        self.loaded, self.failed = (loads.labels(cache, outcome) for outcome in ("ok", "failed"))

    def error(self, step: str) -> None:
        """Count a step that failed: get, set, delete, lease, fill, release, decode."""
        self._errors.labels(self._cache, step).inc()
