"""The clock, the log capture and the leak check do what tests rely on."""

import asyncio
import logging
import os
import socket
import threading

import pytest

from fastness import audit
from fastness.testing import LeakError, ManualClock, capture_logs, no_leaks


def test_a_manual_clock_moves_only_when_told():
    """Time stands still until it is advanced, also backwards."""
    clock = ManualClock(5)
    assert (clock(), clock()) == (5, 5)
    clock.advance(1.5)
    clock.advance(-1)
    assert clock() == 5.5


def test_logs_are_captured_whatever_is_configured():
    """A disabled logger with a high level is captured within the block, and is as before after it."""
    logger = logging.getLogger("fastness-test.tools")
    logger.setLevel(logging.CRITICAL)
    logger.disabled = True
    with capture_logs("fastness-test.tools") as logs:
        logger.debug("one %s", "two")
        logging.getLogger("fastness-test.tools.below").warning("three")
        logging.getLogger("fastness-test").warning("elsewhere")
    logger.critical("after")
    assert logs.messages == ["one two", "three"]
    assert (logger.level, logger.disabled, logger.handlers) == (logging.CRITICAL, True, [])


def test_audit_events_are_found():
    """Audit events are given as they were recorded, all or by action."""
    with capture_logs("fastness.audit") as logs:
        audit.record("key.rotate", outcome="changed", key="k1")
        audit.record("auth.refuse")
    assert [event["action"] for event in logs.audit()] == ["key.rotate", "auth.refuse"]
    assert logs.audit("key.rotate") == [{"category": "audit", "action": "key.rotate", "outcome": "changed", "key": "k1"}]


async def test_a_block_that_closes_what_it_opens_passes():
    """What is closed, or about to be, is no leak."""
    async with no_leaks():
        with socket.socket():
            task = asyncio.create_task(asyncio.sleep(0.05))
        await asyncio.to_thread(lambda: None)
    await task


async def test_a_task_that_outlives_the_block_is_a_leak():
    """A task that still runs is named."""
    with pytest.raises(LeakError, match="task forgotten"):
        async with no_leaks(grace=0.05):
            task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    task.cancel()


async def test_a_file_that_stays_open_is_a_leak(tmp_path):
    """Descriptors are compared, and what they refer to is named."""
    path = tmp_path / "left-open"
    with pytest.raises(LeakError, match=r"descriptor .*left-open"):
        async with no_leaks(grace=0.05):
            file = path.open("w")
    file.close()


async def test_a_thread_that_outlives_the_block_is_a_leak():
    """A thread that is not a pool's is named."""
    end = threading.Event()
    with pytest.raises(LeakError, match="thread worker-7"):
        async with no_leaks(grace=0.05):
            threading.Thread(target=end.wait, name="worker-7").start()
    end.set()


async def test_a_failing_block_keeps_its_own_error():
    """The error of the block is not hidden by what it left open."""
    with pytest.raises(KeyError) as caught:
        async with no_leaks():
            raise KeyError(os.dup(0))
    os.close(caught.value.args[0])
