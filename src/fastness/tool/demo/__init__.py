"""`fastness demo`: a new service, really running on this machine, and every claim about it verified before your eyes."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from fastness.tool.demo.journey import Journey
from fastness.tool.demo.receiver import Receiver
from fastness.tool.demo.service import DemoService
from fastness.tool.demo.story import tell
from fastness.tool.errors import FAILED, OK, CommandError

_LAST_LINES = 20


def run(*, stay: bool) -> int:
    """Go through the journey; the exit code is 0 only when every step was verified.

    Args:
        stay: keep the service running until Ctrl-C, so that a reader can try it.

    Raises:
        CommandError: a step failed; it names the step. Nothing is left behind then either.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fastness-demo-") as temporary,
        Receiver() as receiver,
        DemoService(Path(temporary).resolve() / "relay") as service,
    ):
        journey = Journey(service, receiver)
        try:
            tell(journey.steps() if stay else [*journey.steps(), journey.stop()])
            if stay:
                _stay(service, journey)
        except CommandError:
            for line in service.log().splitlines()[-_LAST_LINES:]:
                print(f"        {line}", file=sys.stderr)
            raise
    print("Stopped; nothing is left behind." if stay else "\nEvery step was verified.")
    return OK


def _stay(service: DemoService, journey: Journey) -> None:
    facts = {
        "documentation": f"{service.url}/docs",
        "metrics": f"{service.url}/metrics",
        "readiness": f"{service.url}/readyz",
        "source": service.directory,
        "try it": journey.curl(),
    }
    print("\nEvery step was verified. Running until Ctrl-C:")
    for name, value in facts.items():
        print(f"  {name:<14} {value}", flush=True)
    try:
        while service.running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()
        return
    raise CommandError("the service ended by itself: its last lines are above", code=FAILED)
