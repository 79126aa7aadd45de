"""Health: what the platform asks of a process (alive, started, ready) and which build it is. It opens and closes nothing.

Liveness touches nothing, so that a database outage restarts no process. Readiness asks the resources, at most once per
`cache_for` however many probes come, and within a time limit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from time import monotonic
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from fastness import _metrics
from fastness._asgi import PROBES
from fastness.problems import Problem, ProblemType, respond

logger = logging.getLogger("fastness.health")

PATHS = PROBES | {"/version"}
"""The paths of the router, for layers that leave them alone."""

NOT_READY = ProblemType(
    "urn:problem-type:fastness:not-ready",
    "The service is not ready",
    503,
    "It is starting, draining, or cannot use something that it needs; another instance may be ready.",
)

_NO_STORE = {"Cache-Control": "no-store"}

State = Literal["ok", "failing", "timeout"]


class Checked(Protocol):
    """Something that can tell whether it can be used now."""

    @property
    def name(self) -> str:
        """Names it in answers, logs and metrics."""

    def check(self) -> Awaitable[object]:
        """Raise when it cannot be used now."""


@runtime_checkable
class Lifecycle(Protocol):
    """Where a service stands between start and end; `fastness.lifespan.Resources` is one."""

    @property
    def started(self) -> bool:
        """Everything is open."""

    @property
    def draining(self) -> bool:
        """It has been told to end."""


class Report(NamedTuple):
    """What the checks found.

    Attributes:
        states: by name: `ok`, `failing` (it raised) or `timeout` (no answer in time).
        ready: everything that is not optional is `ok`.
    """

    states: Mapping[str, State]
    ready: bool


class Readiness:
    """Runs checks side by side, each within a time limit, and shares one run among all who ask.

    Args:
        checks: what is asked; names are unique.
        optional: names whose failure is reported but does not make the service unready: a cache that it can do without.
        check_timeout: seconds until a check counts as `timeout`.
        cache_for: seconds that a report is good for.
        clock: seconds of a clock that never goes back.

    Raises:
        ValueError: a name is repeated or unknown, or a number of seconds is out of range.
    """

    def __init__(
        self,
        checks: Iterable[Checked],
        *,
        optional: Collection[str] = (),
        check_timeout: float = 2.0,
        cache_for: float = 1.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._checks: dict[str, Checked] = {}
        for check in checks:
            if check.name in self._checks:
                raise ValueError(f"health: two checks are named {check.name!r}")
            self._checks[check.name] = check
        if unknown := set(optional) - self._checks.keys():
            raise ValueError(f"health: optional={min(unknown)!r} names no check; there are {sorted(self._checks)}")
        if not (math.isfinite(check_timeout) and check_timeout > 0 and math.isfinite(cache_for) and cache_for >= 0):
            raise ValueError(
                f"health: check_timeout={check_timeout!r} must be seconds above 0 and cache_for={cache_for!r} from 0 up"
            )
        self._optional = frozenset(optional)
        self._check_timeout = check_timeout
        self._cache_for = cache_for
        self._clock = clock
        self._report: Report | None = None
        self._fresh_until = -math.inf
        self._run: asyncio.Task[Report] | None = None
        self._attempts: dict[str, asyncio.Task[object]] = {}
        gauge = _metrics.gauge(
            "fastness_health_ready", "1 while a resource passes its readiness check.", ["resource"], many="livemin"
        )
        self._gauges = {name: gauge.labels(name) for name in self._checks}

    async def report(self) -> Report:
        """The report of the last run while it is good, else of a new one, which everybody who asks meanwhile waits for."""
        if self._report is not None and self._clock() < self._fresh_until:
            return self._report
        run = self._run
        if run is None or run.done() or run.get_loop() is not asyncio.get_running_loop():
            run = self._run = asyncio.create_task(self._check_all())
        # Shielded: one probe that hangs up must not end the run for the others.
        return await asyncio.shield(run)

    async def _check_all(self) -> Report:
        attempts = {name: self._attempt(name, check) for name, check in self._checks.items()}
        if attempts:
            await asyncio.wait(attempts.values(), timeout=self._check_timeout)
        states = {name: self._conclude(name, attempt) for name, attempt in attempts.items()}
        ready = all(state == "ok" for name, state in states.items() if name not in self._optional)
        self._report = Report(states, ready)
        self._fresh_until = self._clock() + self._cache_for
        return self._report

    def _attempt(self, name: str, check: Checked) -> asyncio.Task[object]:
        # A check that outlived its cancellation is waited for again rather than started once more on top.
        attempt = self._attempts.get(name)
        if attempt is None or attempt.done() or attempt.get_loop() is not asyncio.get_running_loop():

            async def run() -> object:
                return await check.check()

            attempt = self._attempts[name] = asyncio.create_task(run(), name=f"readiness of {name}")
            attempt.add_done_callback(_retrieve)
        return attempt

    def _conclude(self, name: str, attempt: asyncio.Task[object]) -> State:
        error: BaseException | None = None
        state: State = "ok"
        if not attempt.done():
            attempt.cancel()
            state = "timeout"
        elif attempt.cancelled() or (error := attempt.exception()) is not None or attempt.result() is False:
            state = "failing"
        before = self._report.states.get(name, "ok") if self._report is not None else "ok"
        # Once per change: probes come every few seconds, for as long as an outage lasts.
        if state != before:
            if state == "ok":
                logger.info("readiness: %s is ok again", name, extra={"resource": name})
            else:
                logger.warning("readiness: %s is %s", name, state, exc_info=error, extra={"resource": name})
        self._gauges[name].set(state == "ok")
        return state


def _retrieve(attempt: asyncio.Task[object]) -> None:
    # What a check raises after its time is up interests nobody, nor asyncio's "exception was never retrieved".
    if not attempt.cancelled():
        attempt.exception()


class _Condition(NamedTuple):
    name: str
    check: Callable[[], Awaitable[object]]


class _Serving(NamedTuple):
    started: bool = True
    draining: bool = False


def router(
    resources: Iterable[Checked] = (),
    *,
    lifecycle: Lifecycle | None = None,
    conditions: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    optional: Collection[str] = (),
    check_timeout: float = 2.0,
    cache_for: float = 1.0,
    version: str | None = None,
    commit: str | None = None,
    build: str | None = None,
    include_in_schema: bool = False,
    clock: Callable[[], float] = monotonic,
) -> APIRouter:
    """`/livez`, `/readyz`, `/startupz` and `/version`: `app.include_router(health.router(resources))`.

    Answers are JSON and `Cache-Control: no-store`; a 503 is a problem document (RFC 9457) with the states as `checks`. What a
    check raises is logged, never shown.

    Args:
        resources: what readiness asks.
        lifecycle: tells starting and draining; by default `resources` if it can, else the service counts as started.
        conditions: further checks by name, each an async function that raises or returns False: "schema is up to date".
        optional: names of checks whose failure is shown but leaves the service ready.
        check_timeout: seconds until a check counts as failed.
        cache_for: seconds that a readiness report is reused.
        version: of the service; by default `SERVICE_VERSION` of the environment.
        commit: the source that it was built from; by default `SERVICE_COMMIT`.
        build: names the build; by default `SERVICE_BUILD`.
        include_in_schema: show the paths in OpenAPI.
        clock: seconds of a clock that never goes back.

    Raises:
        ValueError: a name is repeated or unknown, or a number of seconds is out of range.
    """
    if lifecycle is None:
        lifecycle = resources if isinstance(resources, Lifecycle) else _Serving()
    readiness = Readiness(
        [*resources, *(_Condition(name, check) for name, check in (conditions or {}).items())],
        optional=optional,
        check_timeout=check_timeout,
        cache_for=cache_for,
        clock=clock,
    )
    about = {
        "version": version or os.environ.get("SERVICE_VERSION"),
        "commit": commit or os.environ.get("SERVICE_COMMIT"),
        "build": build or os.environ.get("SERVICE_BUILD"),
    }

    async def livez() -> Response:
        """The process is alive."""
        return _answer({"status": "alive"})

    async def startupz(request: Request) -> Response:
        """The service has started."""
        return _answer({"status": "started"}) if lifecycle.started else _refusal(request, "The service is starting.")

    async def readyz(request: Request) -> Response:
        """The service can serve requests now."""
        if lifecycle.draining:
            return _refusal(request, "The service is draining.")
        if not lifecycle.started:
            return _refusal(request, "The service is starting.")
        report = await readiness.report()
        if report.ready:
            return _answer({"status": "ready", "checks": report.states})
        return _refusal(request, "The service cannot use all that it needs.", checks=report.states)

    async def which() -> Response:
        """The version of the service, and what it was built from."""
        return _answer(about)

    made = APIRouter(tags=["health"])
    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/startupz", startupz), ("/version", which)):
        made.add_api_route(path, endpoint, methods=["GET"], name=path[1:], include_in_schema=include_in_schema)
        made.add_api_route(path, endpoint, methods=["HEAD"], name=path[1:], include_in_schema=False)
    return made


def _answer(document: Mapping[str, Any]) -> Response:
    return JSONResponse(document, headers=_NO_STORE)


def _refusal(request: Request, detail: str, **extensions: Any) -> Response:
    return respond(Problem(NOT_READY, detail, headers=_NO_STORE, **extensions), request.headers.get("accept"))
