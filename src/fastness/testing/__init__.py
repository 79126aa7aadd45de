"""What a service's tests need: an ASGI harness, a client, log capture, leak checks, test services, conformance suites.

`client` needs the `http` extra when it is called; `fastness.testing.services` is a pytest plugin.
"""

from fastness.testing.clock import ManualClock
from fastness.testing.http import client
from fastness.testing.leaks import LeakError, no_leaks
from fastness.testing.logs import CapturedLogs, capture_logs

__all__ = ["CapturedLogs", "LeakError", "ManualClock", "capture_logs", "client", "no_leaks"]
