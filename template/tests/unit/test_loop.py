"""The loop that makes the worker."""

import asyncio

import pytest
from fastness.testing.logs import capture_logs

from app.infra.loop import Loop


async def test_it_works_until_there_is_nothing_and_then_waits() -> None:
    """Without a pause while there is work; and it ends when told to, also while it waits."""
    amounts = [3, 2, 0]
    idle = asyncio.Event()

    async def run_once() -> int:
        amount = amounts.pop(0)
        if not amounts:
            idle.set()
        return amount

    loop = Loop("work", run_once, idle=3600)
    await loop.open()
    await asyncio.wait_for(idle.wait(), 60)
    await loop.check()
    await asyncio.wait_for(loop.close(), 60)
    assert not amounts


async def test_an_error_is_logged_and_the_work_tried_again() -> None:
    """A database that is away for a moment must not end the worker."""
    tried = asyncio.Event()
    attempts = 0

    async def run_once() -> int:
        nonlocal attempts
        attempts += 1
        if attempts <= 2:
            raise ConnectionError("away")
        tried.set()
        return 0

    loop = Loop("work", run_once, idle=0.001)
    with capture_logs("app") as logs:
        await loop.open()
        await asyncio.wait_for(tried.wait(), 60)
        await loop.check()
        await loop.close()
    assert logs.messages == [f"work failed; trying again in {pause} s" for pause in ("0.001", "0.002")]


async def test_closing_waits_for_what_is_under_way() -> None:
    """A delivery that has been sent is remembered before the process ends."""
    begun, finished = asyncio.Event(), False

    async def run_once() -> int:
        nonlocal finished
        begun.set()
        await asyncio.sleep(0.01)
        finished = True
        return 1

    loop = Loop("work", run_once, idle=1)
    await loop.open()
    await begun.wait()
    await loop.close()
    assert finished


async def test_closing_that_is_cancelled_ends_the_work() -> None:
    """The time limit of the shutdown is the last word."""
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    async def run_once() -> int:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 1

    loop = Loop("work", run_once, idle=1)
    await loop.open()
    await begun.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.close(), 0.01)
    await asyncio.wait_for(cancelled.wait(), 60)


async def test_a_loop_that_does_not_run_is_not_ready() -> None:
    """Readiness and liveness of the worker are one."""
    with pytest.raises(RuntimeError, match="does not run"):
        await Loop("work", lambda: asyncio.sleep(0, 0), idle=1).check()
