"""Runs one attempt of one job: its arguments, what is injected, its time limit, its trace. It stores nothing."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TracerProvider

from fastness import context
from fastness.context import RequestContext
from fastness.jobs.errors import clean, describe
from fastness.jobs.model import Claim, Job, JobError, JobLost, JobState, Settlement
from fastness.jobs.resource import LONGEST_DELAY, Jobs
from fastness.jobs.retry import Backoff, GiveUp, Retry, RetryPolicy
from fastness.jobs.task import ArgumentsError, Task

logger = logging.getLogger("fastness.jobs")

# A worker that does not know a task, or other arguments of it, is from before or after an update: another may know them.
_STRANGE = Backoff(attempts=8, first=10, factor=2, longest=600)
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Executor:
    """Runs attempts with what a worker provides.

    Args:
        jobs: what can be run.
        provide: values for injected parameters, by what these are annotated with.
        tracer_provider: makes the spans.
        random: gives numbers from 0 to 1, for jitter.

    Raises:
        JobError: a task wants something that is not provided.
    """

    def __init__(
        self,
        jobs: Jobs,
        provide: Mapping[Any, object],
        *,
        tracer_provider: TracerProvider | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._tasks = jobs.tasks
        self._engine = jobs.engine
        self._random = random
        given: dict[Any, object] = {type(jobs.database): jobs.database, Jobs: jobs, **provide}
        self._injected: dict[str, dict[str, object]] = {}
        for task in jobs.tasks.values():
            for parameter, wanted in task.injected.items():
                if wanted not in given:
                    raise JobError(
                        f"worker: the task {task.name!r} wants {wanted!r} for {parameter!r}: give Worker(provide={{...}}) one"
                    )
            self._injected[task.name] = {parameter: given[wanted] for parameter, wanted in task.injected.items()}
        self._tracer = trace.get_tracer("fastness", tracer_provider=tracer_provider)

    async def run(self, claim: Claim, *, interrupted: Callable[[], bool]) -> Settlement:
        """Make an attempt; what came of it.

        Raises:
            CancelledError: the worker has `interrupted` it. Any other that a task raises is its own, and its failure.
        """
        task = self._tasks.get(claim.task)
        if task is None:
            logger.warning("no task is named %r here; job %d is left to other workers", claim.task, claim.id)
            return self._left(claim, f"no task is named {claim.task!r} here")
        try:
            arguments = task.load(claim.arguments)
        except ArgumentsError as error:
            logger.warning("job %d cannot be run here: %s", claim.id, error)
            return self._left(claim, clean(str(error)))
        job = Job(
            claim.id,
            claim.task,
            claim.queue,
            claim.attempts + 1,
            datetime.fromtimestamp(claim.enqueued_at, UTC),
            claim,
            self._engine,
        )
        if task.job_parameter is not None:
            arguments[task.job_parameter] = job
        arguments |= self._injected[task.name]
        with self._traced(claim, task) as span:
            return await self._attempt(claim, task, arguments, span, interrupted)

    async def _attempt(
        self, claim: Claim, task: Task[..., Any], arguments: dict[str, Any], span: Span, interrupted: Callable[[], bool]
    ) -> Settlement:
        policy = task.options.retry
        limit = asyncio.timeout(task.options.timeout)
        try:
            async with limit:
                await task.function(**arguments)
        except JobLost as error:
            # Settling finds that out as well, and changes nothing then. If it is not so, the attempt has failed.
            return self._again(claim, policy, describe(error))
        except Retry as wish:
            _fail(span, wish)
            return self._again(claim, policy, clean(str(wish)), after=wish.after)
        except GiveUp as reason:
            _fail(span, reason)
            return Settlement(claim=claim, state=JobState.FAILED, error=clean(str(reason) or "given up"))
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # the job's failure, whatever it is, not the worker's
            if interrupted():  # what a task makes of that is no failure of the job's
                raise asyncio.CancelledError from error
            _fail(span, error)
            timed_out = limit.expired() and isinstance(error, TimeoutError)
            text = f"timed out after {task.options.timeout:g} s" if timed_out else describe(error)
            settlement = self._again(claim, policy, text)
            logger.warning(
                "job %d (%s), attempt %d: %s",
                claim.id,
                claim.task,
                claim.attempts + 1,
                "failed for good" if settlement.state is JobState.FAILED else f"failed, again in {settlement.delay:.0f} s",
                exc_info=error,
                extra={"job_id": claim.id, "task": claim.task, "attempt": claim.attempts + 1},
            )
            return settlement
        return Settlement(claim=claim, state=JobState.SUCCEEDED)

    def _again(self, claim: Claim, policy: RetryPolicy, error: str, *, after: float | None = None) -> Settlement:
        attempt = claim.attempts + 1 - claim.strange
        if attempt >= policy.attempts:
            return Settlement(claim=claim, state=JobState.FAILED, error=error)
        delay = policy.delay(attempt, self._random) if after is None else after
        # A policy may be anybody's. What a database cannot store holds up all that is to be stored with it; NaN becomes 0.
        return Settlement(claim=claim, state=JobState.QUEUED, delay=max(0.0, min(delay, LONGEST_DELAY)), error=error)

    def _left(self, claim: Claim, error: str) -> Settlement:
        """To other workers, as often as that may be, which says nothing about the attempts that the task has had."""
        strange = claim.strange + 1
        if strange >= _STRANGE.attempts:
            return Settlement(claim=claim, state=JobState.FAILED, error=error, strange=strange)
        delay = _STRANGE.delay(strange, self._random)
        return Settlement(claim=claim, state=JobState.QUEUED, delay=delay, error=error, strange=strange)

    @contextmanager
    def _traced(self, claim: Claim, task: Task[..., Any]) -> Iterator[Span]:
        """The trace and the request that the job comes from, and the attempt's deadline, for what the task calls and logs."""
        parent = None
        found = _TRACEPARENT.fullmatch(claim.trace or "")
        if found is not None:
            origin = SpanContext(
                int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16))
            )
            if origin.is_valid:
                parent = trace.set_span_in_context(NonRecordingSpan(origin))
        # https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
        attributes: dict[str, str | int] = {
            "messaging.system": "fastness",
            "messaging.operation.type": "process",
            "messaging.destination.name": claim.queue,
            "messaging.message.id": str(claim.id),
            "fastness.job.task": claim.task,
            "fastness.job.attempt": claim.attempts + 1,
        }
        with self._tracer.start_as_current_span(
            f"process {claim.task}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            current = span.get_span_context()
            trace_id = f"{current.trace_id:032x}" if current.is_valid else f"{random.getrandbits(128) or 1:032x}"
            request = RequestContext(
                claim.request_id or trace_id,
                trace_id,
                f"{current.span_id:016x}" if current.is_valid else None,
                bool(current.trace_flags.sampled) if current.is_valid else None,
            )
            request.deadline = time.monotonic() + task.options.timeout
            with context.within(request):
                yield span


def _fail(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)
