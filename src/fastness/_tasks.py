"""Ends background tasks for good. What they do is their owners'."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN = 2.0


async def end(*tasks: asyncio.Task[Any], again: float = _AGAIN) -> None:
    """Cancel tasks and wait until they have ended; what they raise is dropped, and logged by nobody.

    One cancellation is not enough: until Python 3.12, `asyncio.wait_for` swallows one that arrives together with its result
    (https://github.com/python/cpython/issues/86296), and database drivers wait with it.

    Args:
        again: seconds after which a task that has not ended is cancelled once more: time for it to clean up.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again)
    for task in tasks:
        if not task.cancelled():
            task.exception()
