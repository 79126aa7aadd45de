"""Relay with a fault point: now and then its process dies between the commit of a POST and the response. For `bench.chaos`."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

from app.main import app as relay  # type: ignore[import-not-found]  # the service's own, in the directory it runs in

_SHARE = float(os.environ["CHAOS_FAULTS"])


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Relay, or its end at the worst moment."""

    async def fail(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] == 201 and random.random() < _SHARE:
            os.kill(os.getpid(), signal.SIGKILL)
        await send(message)

    await relay(scope, receive, fail if scope["type"] == "http" and scope["method"] == "POST" else send)
