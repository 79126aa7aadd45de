"""Captures log records of a block, whatever handlers and levels the application has configured."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class CapturedLogs(logging.Handler):
    """The records of a block, in order.

    Attributes:
        records: as the standard library makes them.
    """

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """The records' texts."""
        return [record.getMessage() for record in self.records]

    def audit(self, action: str | None = None) -> list[dict[str, Any]]:
        """The audit events among the records (see `fastness.audit`), all or those of one action."""
        events = [record.__dict__["audit"] for record in self.records if "audit" in record.__dict__]
        return [event for event in events if action is None or event["action"] == action]


@contextmanager
def capture_logs(logger: str = "", *, level: int = logging.DEBUG) -> Iterator[CapturedLogs]:
    """Capture what `logger` and those below it log at `level` or above; the root logger by default."""
    target = logging.getLogger(logger)
    captured = CapturedLogs()
    before = target.level, target.disabled
    target.addHandler(captured)
    target.setLevel(level)
    target.disabled = False
    try:
        yield captured
    finally:
        target.removeHandler(captured)
        target.setLevel(before[0])
        target.disabled = before[1]
