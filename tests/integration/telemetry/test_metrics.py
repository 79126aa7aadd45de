"""`/metrics` tells the same with one worker and with many."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.middleware import Middleware

from fastness.context import ContextMiddleware
from fastness.telemetry import TelemetryMiddleware, business, metrics
from fastness.testing import client

# Seconds after which something hangs; generous, because it costs nothing where nothing does.
PATIENCE = 90

SERVICE = """
import asyncio, os
from fastapi import FastAPI
from starlette.middleware import Middleware
from fastness.context import ContextMiddleware
from fastness.slo import SLO, Latency
from fastness.telemetry import TelemetryMiddleware, business, metrics

slo = SLO("fast", ("GET /things/{identifier}",), latency=Latency(0.123, 0.99))
app = FastAPI(middleware=[Middleware(ContextMiddleware), Middleware(TelemetryMiddleware, slos=[slo])])
app.include_router(metrics.router())
accepted = business.counter("accepted", "Accepted.", {"kind": ("a",)})
forget = metrics.observe_pool("database", lambda: (1, 5))

@app.get("/things/{identifier}")
async def read(identifier: str) -> int:
    accepted.add(kind="a")
    return os.getpid()

@app.get("/hang")
async def hang() -> None:
    await asyncio.sleep(3600)
"""


def service() -> FastAPI:
    app = FastAPI(middleware=[Middleware(ContextMiddleware), Middleware(TelemetryMiddleware)])
    app.include_router(metrics.router())
    return app


async def test_the_format_is_negotiated() -> None:
    """A scraper that knows OpenMetrics gets it, any other the Prometheus text; both can be parsed."""
    async with client(service()) as http:
        await http.get("/nothing")
        plain = await http.get("/metrics")
        modern = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.headers["cache-control"] == "no-store"
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    for families in (parse_text(plain.text), parse_openmetrics(modern.text)):
        assert "http_server_request_duration_seconds" in {family.name for family in families}


async def test_process_and_loop_and_pools_are_exposed() -> None:
    """Memory and CPU of the process, the lag of its loop and how full its pools are come with the rest."""
    forget = metrics.observe_pool("t_database", lambda: (2, 5))
    async with client(service()) as http:
        await http.get("/nothing")  # the first request starts the watch of the loop
        text = (await http.get("/metrics")).text
    forget()
    for line in (
        "process_resident_memory_bytes ",
        "fastness_event_loop_lag_seconds_count ",
        'fastness_pool_used{pool="t_database"} 2.0',
        'fastness_pool_size{pool="t_database"} 5.0',
        'fastness_pool_size{pool="threads"} 40.0',
        "http_server_active_requests 1.0",
    ):
        assert line in text


async def test_business_metrics_are_a_section() -> None:
    """They come last, and alone when asked for."""
    business.counter("t_section", "Section.").add()
    async with client(service()) as http:
        everything = (await http.get("/metrics")).text
        alone = (await http.get("/metrics", params={"section": "business"})).text
        others = (await http.get("/metrics", params={"section": "infrastructure"})).text
        assert (await http.get("/metrics", params={"section": "x"})).status_code == 422
    samples = [line for line in everything.splitlines() if not line.startswith("#")]
    first = next(number for number, line in enumerate(samples) if line.startswith("business_"))
    assert all(line.startswith("business_") for line in samples[first:])
    assert "business_t_section_total 1.0" in alone
    assert "http_server" not in alone
    assert "\nbusiness_" not in others
    assert "http_server" in others


async def test_the_endpoint_can_be_guarded_and_is_not_documented() -> None:
    """Guards are ordinary dependencies; OpenAPI does not know the path."""

    def guard() -> None:
        raise HTTPException(401)

    app = FastAPI()
    app.include_router(metrics.router(path="/internal/metrics", dependencies=[Depends(guard)]))
    async with client(app) as http:
        assert (await http.get("/internal/metrics")).status_code == 401
    assert app.openapi()["paths"] == {}


@contextmanager
def workers(directory: Path, count: int) -> Iterator[str]:
    """uvicorn with that many workers, which share their metrics in `directory`."""
    (directory / "service.py").write_text(SERVICE)
    command = [sys.executable, "-m", "uvicorn", "service:app", "--app-dir", str(directory), "--port", "0"]
    output = directory / "output.txt"
    with output.open("wb") as file:
        server = subprocess.Popen(
            # Requests that hang must not keep a worker: an orphan would go on holding the run. And a worker that is slow
            # because the machine is must not be replaced.
            [*command, "--workers", str(count), "--timeout-graceful-shutdown", "1", "--timeout-worker-healthcheck", "90"],
            start_new_session=True,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory / "metrics")},
        )
    try:
        wait_until(lambda: re.search(r"running on \S+ ", output.read_text()))
        base = re.search(r"running on (\S+) ", output.read_text())[1]  # type: ignore[index]
        wait_until(lambda: len(pids(base)) == count)
        yield base
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_until(condition: object, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():  # type: ignore[operator]
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError


def get(url: str) -> httpx2.Response:
    """On a connection of its own, so that any worker may answer."""
    return httpx2.get(url, headers={"connection": "close"}, timeout=PATIENCE, trust_env=False)


def scrape(base: str) -> str:
    return get(f"{base}/metrics").raise_for_status().text


def value(text: str, sample: str) -> float | None:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def pids(base: str) -> set[int]:
    """The workers that have answered something, by asking until all had the chance."""
    get(f"{base}/warm")
    return {int(pid) for pid in re.findall(r'process_resident_memory_bytes\{pid="(\d+)"\}', scrape(base))}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc tells who has ended")
def test_a_worker_that_nobody_has_buried_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was killed says nothing of the present any more, also while its parent has not looked."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    gauge = "p.Gauge('t_dead', 'x', multiprocess_mode='livesum').set(1)"
    script = f"import prometheus_client as p; {gauge}; p.Counter('t_kept', 'x').inc()"
    with subprocess.Popen([sys.executable, "-c", script]) as worker:
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        assert os.kill(worker.pid, 0) is None, "it is there still"
        found = {metric.name for metric in metrics._collect_shared()}
    assert "t_kept" in found
    assert not {"t_dead", "process_resident_memory_bytes"} & found


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="process metrics need /proc")
def test_many_workers_are_one_service(tmp_path: Path) -> None:
    """Whoever answers adds up all workers; a killed one keeps its counts and loses its gauges; a new run starts at zero."""
    labels = 'http_request_method="GET",http_response_status_code="200",http_route="/things/{identifier}"'
    total = f"http_server_request_duration_seconds_count{{{labels}}}"
    with workers(tmp_path, 2) as base:
        served = {int(get(f"{base}/things/{n}").text) for n in range(60)}
        text = scrape(base)
        assert value(text, total) == 60
        assert 'le="0.123"' in text
        assert value(text, 'business_accepted_total{kind="a"}') == 60
        assert served <= pids(base)
        # Sampled by a timer of each worker, because one cannot ask another.
        wait_until(lambda: value(scrape(base), 'fastness_pool_size{pool="database"}') == 10)

        with httpx2.Client(timeout=httpx2.Timeout(PATIENCE, read=0.2), trust_env=False) as hanging:
            for _ in range(4):
                with pytest.raises(httpx2.ReadTimeout):
                    hanging.get(f"{base}/hang")
        before = pids(base)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in pids(base))
        text = scrape(base)
        assert value(text, total) == 60, "what a worker counted is not lost with it"
        live = [file.name for file in (tmp_path / "metrics").glob(f"gauge_live*_{victim}.db")]
        assert live == [], "what it said of its present is"
    with workers(tmp_path, 2) as base:
        assert value(scrape(base), total) is None, "a new run does not count on from the last one"
