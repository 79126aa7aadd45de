"""How long a service takes to be there: what its imports of Fastness add, and the time from process start to ready."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench import relay

LIMITS = {"import_ms": 60.0, "worker_import_ms": 60.0, "ready_seconds": 2.0}

_IMPORT = """
import sys, time
# structlog imports rich where it finds it. Tools of this environment brought it here; a service does not install it.
sys.modules["rich"] = None
began = time.process_time()
import fastapi
fastapi_took = time.process_time() - began
# What the service is built with comes with its own imports; what is measured is what stands in between.
import alembic.script, httpx2, redis.asyncio, sqlalchemy.ext.asyncio, sqlalchemy.orm
started = time.process_time()
for statement in sys.argv[1:]:
    exec(statement)
print((time.process_time() - started) * 1000, fastapi_took * 1000)
"""


def imports(*, runs: int) -> dict[str, float]:
    """Milliseconds of CPU time that the imports of Fastness take in the template's server and in its worker.

    What Fastness imports in turn is included, except the libraries that the service is built with. It is the least of `runs`
    fresh interpreters: the work is the same each time, so whatever is more is the machine's noise. FastAPI's own import says
    how fast the machine is.
    """
    # The first run leaves byte code behind, as the build of an image does, also where this machine would rather have none.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = {
        name: [sys.executable, "-c", _IMPORT, *statements_of(module)]
        for name, module in {"import_ms": "app.main", "worker_import_ms": "app.worker"}.items()
    }
    samples: dict[str, list[float]] = {"fastapi_ms": []}
    for _ in range(runs + 1):
        for name, command in commands.items():
            done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
            ours, fastapi = (float(number) for number in done.stdout.split())
            samples.setdefault(name, []).append(ours)
            samples["fastapi_ms"].append(fastapi)
    return {name: round(min(figures), 1) for name, figures in samples.items()}


def statements_of(module: str) -> list[str]:
    """The statements by which a module of the template, and what it imports of the template, import Fastness.

    The statements, not the modules: a name may bring a module with it that its package leaves out.
    """
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        module = waiting.pop()
        if module in seen or (path := _file(module)) is None:
            continue
        seen.add(module)
        waiting.append(module.rpartition(".")[0])
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            waiting.extend(names)
            if any(name.partition(".")[0] == "fastness" for name in names):
                found.add(ast.unparse(node))
    return sorted(found)


def _file(module: str) -> Path | None:
    """Where a module of the template is; None for what is no module, or not one of the template's."""
    place = relay.TEMPLATE / module.replace(".", "/")
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if module.partition(".")[0] == "app" and path.is_file()), None)


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
        limits = {name: at_most * fastapi_ms / (1000 if name == "ready_seconds" else 1) for name in LIMITS}
    return [
        f"{name} is {figures[name]}, at most {limit:.2f} is wanted"
        for name, limit in limits.items()
        if name in figures and figures[name] > limit
    ]
