"""How long a service takes to be there: what its imports of Fastness add, and the time from process start to ready."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys

from bench import relay

LIMITS = {"import_ms": 60.0, "ready_seconds": 2.0}

_IMPORT = """
import importlib, sys, time
# structlog imports rich where it finds it. Tools of this environment brought it here; a service does not install it.
sys.modules["rich"] = None
began = time.process_time()
import fastapi
fastapi_took = time.process_time() - began
# What the service is built with comes with its own imports; what is measured is what stands in between.
import alembic.script, httpx2, redis.asyncio, sqlalchemy.ext.asyncio, sqlalchemy.orm
started = time.process_time()
for name in sys.argv[1:]:
    importlib.import_module(name)
print((time.process_time() - started) * 1000, fastapi_took * 1000)
"""


def imports(*, runs: int) -> dict[str, float]:
    """Milliseconds of CPU time, what the modules import included, except the libraries that the service is built with.

    The least of `runs` fresh interpreters: the work is the same each time, so whatever is more is the machine's noise.
    FastAPI's own import says how fast the machine is.
    """
    modules = template_imports()
    command = [sys.executable, "-c", _IMPORT, *modules]
    # The first run leaves byte code behind, as the build of an image does, also where this machine would rather have none.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    samples = []
    for _ in range(runs + 1):
        done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        samples.append([float(number) for number in done.stdout.split()])
    ours, fastapi = (min(figures) for figures in zip(*samples[1:], strict=True))
    return {"import_ms": round(ours, 1), "fastapi_ms": round(fastapi, 1)}


def template_imports() -> list[str]:
    """The modules of Fastness that the template's service imports, in the order of their names."""
    found: set[str] = set()
    for path in (relay.TEMPLATE / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from fastness import problems` names a module, `from fastness.slo import SLO` does not.
                found.update(f"fastness.{alias.name}" for alias in node.names) if node.module == "fastness" else found.add(
                    node.module
                )
    return sorted(name for name in found if name.partition(".")[0] == "fastness" and name != "fastness")


def ready(*, runs: int) -> dict[str, float]:
    """Seconds from the start of the process until `/readyz` says 200, the median of `runs`; the schema is there already."""
    with relay.migrated() as service:
        samples = []
        for _ in range(runs):
            with relay.served(service) as (_, seconds):
                samples.append(seconds)
    return {"ready_seconds": round(statistics.median(samples), 2)}


def failures(figures: dict[str, float], *, at_most: float | None = None) -> list[str]:
    """What is above its limit, one line each; `at_most`, in times of FastAPI's own import, takes the place of the limit."""
    limits = LIMITS
    if at_most is not None:
        fastapi_ms = figures["fastapi_ms"] if "fastapi_ms" in figures else imports(runs=3)["fastapi_ms"]
        limits = {"import_ms": at_most * fastapi_ms, "ready_seconds": at_most * fastapi_ms / 1000}
    return [
        f"{name} is {figures[name]}, at most {limit:.2f} is wanted"
        for name, limit in limits.items()
        if name in figures and figures[name] > limit
    ]
