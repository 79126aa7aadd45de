"""Tests for the end of background tasks."""

import asyncio

import pytest

from fastness import _tasks


async def test_a_task_that_loses_a_cancellation_is_cancelled_again():
    """As `asyncio.wait_for` loses one before Python 3.12, when it comes together with the result."""
    lost = []

    async def forgetful() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if len(lost) == 2:
                    raise
                lost.append(True)

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    await _tasks.end(task, again=0)
    assert task.cancelled()
    assert len(lost) == 2


async def test_a_task_has_time_to_clean_up():
    """It is not cancelled again while it does."""
    steps = []

    async def orderly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    task = asyncio.create_task(orderly())
    await asyncio.sleep(0)
    await _tasks.end(task)
    assert steps == ["cleaned up"]


async def test_what_a_task_raises_is_dropped():
    """Also of one that had failed before, and none of it is warned of when the task is collected."""

    async def failing() -> None:
        raise RuntimeError("long before")

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("instead")

    tasks = [asyncio.create_task(failing()), asyncio.create_task(stubborn())]
    await asyncio.sleep(0)
    await _tasks.end(*tasks)
    assert all(task.done() for task in tasks)


async def test_the_caller_can_be_cancelled_itself():
    """A task that will not end does not hold up whoever is itself told to end."""

    async def unwilling() -> None:
        while True:
            try:
                await stop.wait()
                return
            except asyncio.CancelledError:
                continue

    stop = asyncio.Event()
    task = asyncio.create_task(unwilling())
    await asyncio.sleep(0)
    ending = asyncio.create_task(_tasks.end(task, again=3600))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    stop.set()
    await task
