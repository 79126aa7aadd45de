"""One call: its time, its attempts, and what is sent on with each. The door to stamina, which makes the attempts.

Imported when an upstream opens.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import stamina
from opentelemetry import propagate, trace

from fastness.context import RequestContext, current
from fastness.outbound._measures import Measures
from fastness.outbound.errors import OutboundError
from fastness.outbound.retries import Retries, RetryBudget, repeatable


class Call:
    """One call.

    Attributes:
        request: what is sent.
        begun: when, in the seconds of the event loop.
        ends_at: when its time is over.
        attempts: requests made so far.
        failure: what became of the last attempt.
    """

    __slots__ = (
        "_budget",
        "_given",
        "_loop",
        "_measures",
        "_repeatable",
        "_retries",
        "attempts",
        "begun",
        "ends_at",
        "failure",
        "request",
    )

    def __init__(
        self, request: httpx2.Request, *, seconds: float, retries: Retries, budget: RetryBudget, measures: Measures
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._retries = retries
        self._budget = budget
        self._measures = measures
        # A body that is made while it is sent cannot be sent twice.
        replayable = isinstance(request.stream, httpx2.ByteStream)
        self._repeatable = replayable and repeatable(request.method, keyed="idempotency-key" in request.headers)
        self._given = frozenset(name for name in ("x-request-id", "traceparent") if name in request.headers)
        self.request = request
        self.begun = self._loop.time()
        self.ends_at = self.begun + seconds
        self.attempts = 0
        self.failure: OutboundError | None = None

    def remaining(self) -> float:
        """Seconds that are left."""
        return self.ends_at - self._loop.time()

    def tries(self) -> AsyncIterator[stamina.Attempt]:
        """The attempts, with the waits between them: `async for attempt in call.tries(): with attempt: ...`.

        `stamina.set_active` and `stamina.set_testing` work on them.
        """
        return aiter(
            stamina.retry_context(
                self._wait, attempts=self._retries.attempts, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
            )
        )

    def _wait(self, error: Exception) -> bool | float:
        """Seconds until the next attempt, False if there is none."""
        if not isinstance(error, OutboundError):
            return False
        self.failure = error
        if not (error._transient and self._repeatable) or self.attempts >= self._retries.attempts:
            return False
        wait = self._retries.pause(self.attempts, error.retry_after)
        if wait >= self.remaining():
            self._measures.deny("retry", "deadline" if error.retry_after is None else "retry_after")
            return False
        if not self._budget.withdraw():
            self._measures.deny("retry", "budget")
            return False
        self._measures.retries.inc()
        error._retried = True
        return wait

    def stamp(self, seconds: float) -> None:
        """Send on with the next attempt, which has that many seconds: the time, the request's id and the trace."""
        headers = self.request.headers
        headers["x-request-timeout-ms"] = str(max(1, int(seconds * 1000)))
        context = current()
        if context is not None and "x-request-id" not in self._given:
            headers["x-request-id"] = context.request_id
        if "traceparent" in self._given:
            return
        if trace.get_current_span().get_span_context().is_valid:
            # Where the client is instrumented, the span of the attempt takes its place.
            propagate.inject(headers)
        elif context is not None:
            headers["traceparent"] = _traceparent(context)


def _traceparent(context: RequestContext) -> str:
    """The trace of a request that is not recorded here; whoever is called may go on with it."""
    return f"00-{context.trace_id}-{random.getrandbits(64) or 1:016x}-{'01' if context.sampled else '00'}"


def keep_apart() -> None:
    """Keep stamina's hooks, which count and log every retry of the process, from doing so with ours, which are counted here.

    Others' retries are reported as before. Hooks that are set later are told of ours too.
    """
    hooks = stamina.instrumentation.get_on_retry_hooks()
    if not all(isinstance(hook, _OthersOnly) for hook in hooks):
        stamina.instrumentation.set_on_retry_hooks(
            [hook if isinstance(hook, _OthersOnly) else _OthersOnly(hook) for hook in hooks]
        )


class _OthersOnly:
    """A hook that is not told of retries of upstreams."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def __call__(self, details: Any) -> Any:
        error = details.caused_by
        return None if isinstance(error, OutboundError) and error._retried else self._hook(details)
