"""The typed declaration of service level objectives. It measures nothing: everything else reads it.

The histogram's bounds, deadlines, load checks, alerts and rollout verdicts all follow from these objects, so that an
objective is written once. Terms follow the SRE Workbook (chapter 2, "Implementing SLOs").
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_ROUTE = re.compile(r"(?:[A-Z]+ )?/\S*")
_NAME = re.compile(r"(?=.{1,63}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Latency:
    """A share of requests is answered within a time.

    Attributes:
        threshold: seconds.
        objective: share of requests, above 0 and below 1; 0.99 means 99 %.
    """

    threshold: float
    objective: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(f"latency threshold {self.threshold!r} is not a positive number of seconds")
        _check_objective("latency", self.objective)


@dataclass(frozen=True, slots=True)
class Availability:
    """A share of requests is answered without a server error (5xx).

    Attributes:
        objective: share of requests, above 0 and below 1; 0.999 means 99.9 %.
    """

    objective: float

    def __post_init__(self) -> None:
        _check_objective("availability", self.objective)


@dataclass(frozen=True, slots=True)
class SLO:
    """What users may expect of a group of routes.

    Attributes:
        name: lower-case words joined by hyphens; names the objective in metrics, alerts and dashboards.
        routes: `"METHOD /full/{template}"`, or a template alone for all its methods.
        latency: how fast, or None.
        availability: how reliably, or None.
        window_days: rolling window over which the objective holds.
    """

    name: str
    routes: tuple[str, ...]
    latency: Latency | None = None
    availability: Availability | None = None
    window_days: int = 28

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"SLO name {self.name!r} is not lower-case words joined by hyphens, 63 characters at most")
        routes: object = self.routes
        # A text is a sequence too, of routes that are one character long.
        if isinstance(routes, str):
            raise ValueError(f"SLO {self.name!r}: routes={routes!r} is one text; give a tuple of routes")  # noqa: TRY004
        if not self.routes:
            raise ValueError(f"SLO {self.name!r} names no route")
        for route in self.routes:
            if not _ROUTE.fullmatch(route):
                raise ValueError(f"SLO {self.name!r}: route {route!r} is not 'METHOD /template' or '/template'")
        if len(set(self.routes)) < len(self.routes):
            raise ValueError(f"SLO {self.name!r} names a route twice: {self.routes!r}")
        if self.latency is None and self.availability is None:
            raise ValueError(f"SLO {self.name!r} has no objective: give latency, availability or both")
        if self.window_days < 1:
            raise ValueError(f"SLO {self.name!r}: a window of {self.window_days} days is not a window")


def latency_thresholds(slos: Iterable[SLO]) -> list[float]:
    """Every latency threshold of `slos` in seconds, ascending, each once."""
    return sorted({slo.latency.threshold for slo in slos if slo.latency is not None})


def _check_objective(what: str, objective: float) -> None:
    if not 0 < objective < 1:
        raise ValueError(f"{what} objective {objective!r} is not a share between 0 and 1 (99 % is 0.99)")
