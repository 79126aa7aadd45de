"""One trace goes from the request through the job to what the job calls."""

import asyncio

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from fastness.jobs import ONCE, Injected, Jobs, Worker, task

TIME_LIMIT = 60


class Calls(asyncio.Queue):
    """Headers that calls would have sent."""


@task(name="call", queue="mail", retry=ONCE)
async def call(calls: Injected[Calls], fail: bool = False) -> None:
    """Send the headers of an outbound call."""
    headers = {}
    propagate.inject(headers)
    calls.put_nowait(headers)
    if fail:
        raise ValueError("a secret")


@pytest.mark.parametrize("fail", [False, True])
async def test_a_job_is_a_span_between_its_request_and_its_calls(database, fail):
    """Its parent is the span that was current when it was enqueued; an error is named in it and not quoted."""
    exporter, provider, calls = InMemorySpanExporter(), TracerProvider(), Calls()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    jobs = Jobs(database, tasks=[call])
    worker = Worker(jobs, provide={Calls: calls}, tracer_provider=provider)
    with provider.get_tracer("test").start_as_current_span("POST /orders") as request:
        async with database.unit() as uow:
            job_id = (await jobs.enqueue(uow, call, fail=fail)).id
    await worker.open()
    async with asyncio.timeout(TIME_LIMIT):
        headers = await calls.get()
    await worker.close()
    (span,) = [span for span in exporter.get_finished_spans() if span.name == "process call"]
    assert span.kind is SpanKind.CONSUMER
    assert span.parent.span_id == request.get_span_context().span_id
    assert span.context.trace_id == request.get_span_context().trace_id
    assert headers["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")
    assert span.attributes["messaging.message.id"] == str(job_id)
    assert span.attributes["messaging.destination.name"] == "mail"
    assert span.attributes.get("error.type") == ("ValueError" if fail else None)
    assert span.events == ()
