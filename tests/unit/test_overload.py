"""Bounds on requests in flight, and maintenance."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from fastness._asgi import Receive, Scope, Send
from fastness.overload import MaintenanceMiddleware, MaintenanceSwitch, OverloadMiddleware
from fastness.testing.asgi import request, websocket


class Gate:
    """An app that holds every request until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
            await PlainTextResponse("served")(scope, receive, send)
        finally:
            self.inside -= 1


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def middleware(app: Any, **options: Any) -> OverloadMiddleware:
    return OverloadMiddleware(app, **{"limit": 1, "max_waiting": 1, "max_wait": 60.0, **options})


async def test_past_the_bound_and_the_queue_comes_a_503_at_once() -> None:
    """One runs, one waits, the third is refused with Retry-After while the others are served."""
    gate = Gate()
    app = middleware(gate, retry_after=7)
    first = asyncio.create_task(request(app))
    await settle()
    second = asyncio.create_task(request(app))
    await settle()
    third = await request(app)
    assert third.status == 503
    assert third.headers["retry-after"] == "7"
    assert third.json()["type"] == "urn:problem-type:fastness:overloaded"
    gate.open.set()
    assert [(await first).status, (await second).status] == [200, 200]
    assert gate.most == 1


async def test_waiting_is_bounded_in_time() -> None:
    """A request that waited `max_wait` is refused, and its place in the queue is free again."""
    gate = Gate()
    app = middleware(gate, max_wait=0.01)
    first = asyncio.create_task(request(app))
    await settle()
    assert (await request(app)).status == 503
    assert (await request(app)).status == 503
    assert not app._waiting
    gate.open.set()
    assert (await first).status == 200


async def test_whoever_waited_longest_is_next() -> None:
    """Places are handed over in the order of arrival."""
    served: list[str] = []
    gates = {name: asyncio.Event() for name in "abc"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"][1:]
        await gates[name].wait()
        served.append(name)
        await PlainTextResponse("")(scope, receive, send)

    limited = middleware(app, max_waiting=2)
    tasks = []
    for name in "abc":
        tasks.append(asyncio.create_task(request(limited, f"/{name}")))
        await settle()
    gates["c"].set()
    gates["b"].set()
    await settle()
    assert served == []
    gates["a"].set()
    await asyncio.gather(*tasks)
    assert served == ["a", "b", "c"]


async def test_errors_and_cancellations_give_their_place_back() -> None:
    """However a request ends, its place is free afterwards."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    app = middleware(broken)
    for _ in range(3):
        assert isinstance((await request(app, raise_errors=False)).error, LookupError)
    assert app._in_flight == 0


async def test_cancelled_while_waiting_leaves_the_queue() -> None:
    """A request that is cancelled in the queue takes no place with it, not even one just handed over."""
    gate = Gate()
    app = middleware(gate)
    first = asyncio.create_task(request(app))
    await settle()
    for hand_over in (False, True):
        waiting = asyncio.create_task(app({"type": "http", "path": "/", "method": "GET", "headers": []}, _receive, _drop))
        await settle()
        if hand_over:
            # As when a second running request ended in this same turn of the loop.
            app._in_flight += 1
            app._free()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not app._waiting
    gate.open.set()
    await first
    assert app._in_flight == 0


async def test_probes_and_exempt_paths_are_always_served() -> None:
    """A full service still answers its platform and its operators."""
    gate = Gate()
    app = middleware(gate, limit=1, max_waiting=0, exempt=["/metrics"])
    running = asyncio.create_task(request(app, "/work"))
    await settle()
    others = [asyncio.create_task(request(app, path)) for path in ("/livez", "/readyz", "/startupz", "/metrics")]
    await settle()
    assert (await request(app, "/more")).status == 503
    gate.open.set()
    assert [(await task).status for task in [running, *others]] == [200] * 5
    assert app._in_flight == 0


@pytest.mark.parametrize("options", [{"limit": 0}, {"max_waiting": -1}, {"max_wait": 0}, {"retry_after": 0}])
def test_bounds_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """A configuration that serves nobody is told at start."""
    with pytest.raises(ValueError, match="overload"):
        middleware(Gate(), **options)


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("served")(scope, receive, send)


async def test_maintenance_answers_everything_but_probes() -> None:
    """While the switch is on, clients get a 503 with Retry-After and the platform sees a healthy service."""
    switch = MaintenanceSwitch()
    app = MaintenanceMiddleware(served, switch=switch, retry_after=120)
    assert (await request(app)).status == 200
    switch.on()
    refused = await request(app)
    assert (refused.status, refused.headers["retry-after"]) == (503, "120")
    assert refused.json()["type"] == "urn:problem-type:fastness:maintenance"
    assert (await request(app, "/livez")).status == 200
    assert (await request(app, "/metrics")).status == 200
    switch.off()
    assert (await request(app)).status == 200


def test_maintenance_without_a_wait_is_refused() -> None:
    """Clients that are told to wait for nothing would all come back at once."""
    MaintenanceMiddleware(served, switch=MaintenanceSwitch(), retry_after=1)
    with pytest.raises(ValueError, match="maintenance: retry_after=0"):
        MaintenanceMiddleware(served, switch=MaintenanceSwitch(), retry_after=0)


async def test_maintenance_closes_new_websockets() -> None:
    """A WebSocket is refused with 1013, "try again later"."""
    switch = MaintenanceSwitch()
    switch.on()
    async with websocket(MaintenanceMiddleware(served, switch=switch)) as connection:
        assert (await connection.next())["code"] == 1013


def test_a_file_switches_maintenance_for_every_worker(tmp_path: Path) -> None:
    """The file is looked at once an interval; the process's own switch works beside it."""
    file = tmp_path / "maintenance"
    switch = MaintenanceSwitch(file=file, interval=1.0)
    assert not switch.is_on(100.0)
    file.touch()
    assert not switch.is_on(100.9)
    assert switch.is_on(101.0)
    file.unlink()
    assert switch.is_on(101.9)
    assert not switch.is_on(102.0)
    switch.on()
    assert switch.is_on(103.0)


def test_a_directory_is_no_switch(tmp_path) -> None:
    """An empty variable in an environment file names the directory that the service runs in."""
    assert not MaintenanceSwitch(file=tmp_path).is_on(1.0)


def test_switching_is_an_audit_event(caplog: pytest.LogCaptureFixture) -> None:
    """Each change is on record, once."""
    switch = MaintenanceSwitch()
    with caplog.at_level("INFO", logger="fastness.audit"):
        switch.on()
        switch.on()
        switch.off()
    events = [record.audit["maintenance"] for record in caplog.records]  # type: ignore[attr-defined]
    assert events == [True, False]


async def _receive() -> Any:
    return {"type": "http.request", "body": b""}


async def _drop(message: Any) -> None:
    pass
