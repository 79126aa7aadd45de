"""The base install is FastAPI, pydantic-settings, structlog and prometheus-client: every other import is optional."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fastness import auth, jobs
from fastness.auth import api_keys
from fastness.jobs import worker

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "fastness"
RUNTIME = sorted(
    ".".join(("fastness", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.relative_to(SOURCE).parts[0] not in ("tool", "testing")
)
# Packages that are an extra as a whole.
EXTRAS = ("fastness.database", "fastness.jobs")
# The door to an extra: private, and imported by its package only when it is used.
DOORS = {
    "fastness.auth._jose",
    "fastness.idempotency.records",
    "fastness.idempotency.transaction",
    "fastness.outbound._call",
    "fastness.outbound._transport",
}

_IMPORT = """
import importlib, importlib.abc, sys

optional = set(sys.argv[1].split(","))

class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in optional:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*sys.modules)
"""


# As the interpreter's own audit hooks see it (PEP 578): whatever library does it for us.
_WATCHED_IMPORT = """
import importlib, os, sys, threading

CHANGES = {"os.fork", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "subprocess.Popen"}
CHANGES |= {"socket.bind", "socket.connect"}
seen = []

def importing():
    "The module whose body runs: what a library does on its own import is its affair."
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame.f_globals["__name__"] if frame is not None else ""

def watch(event, arguments):
    if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        if importing().startswith("fastness"):
            seen.append((event, *arguments))

threads = threading.active_count()
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert not seen, f"{name}: {seen}"
assert threading.active_count() == threads
"""


def base_distributions() -> set[str]:
    """What `pip install fastness` without extras brings, directly and through what it depends on."""
    found: set[str] = set()
    pending = ["fastness"]
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found:
            continue
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform
        found.add(name)
        needed = map(Requirement, lines)
        pending += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def run(modules: list[str], *, without: set[str]) -> subprocess.CompletedProcess[str]:
    """Import `modules` in a fresh interpreter where the modules `without` are not installed."""
    return subprocess.run(
        [sys.executable, "-c", _IMPORT, ",".join(without), *modules], capture_output=True, text=True, check=False
    )


def test_the_runtime_imports_on_the_base_install() -> None:
    """With nothing installed but the base dependencies, every module of the runtime imports."""
    base = base_distributions()
    optional = {
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & base
    }
    # The API's and the SDK's modules share a namespace.
    done = run(
        [name for name in RUNTIME if name not in DOORS and not name.startswith(EXTRAS)],
        without=optional | {"opentelemetry.sdk", "opentelemetry.exporter"},
    )
    assert {"redis", "joserfc", "httpx2", "sqlalchemy"} <= optional
    assert done.returncode == 0, done.stderr


def test_what_not_every_process_uses_is_imported_when_it_is_asked_for() -> None:
    """A server pays for no worker and no API keys, nor for the writing of documentation; asking for a name brings it."""
    parts = {"fastness.auth.api_keys", "fastness.jobs.worker", "fastness.settings.describe"}
    done = run(["fastness.auth", "fastness.jobs", "fastness.settings"], without=set())
    assert done.returncode == 0, done.stderr
    assert not parts & set(done.stdout.split())
    assert auth.APIKey is api_keys.APIKey
    assert jobs.Worker is worker.Worker
    for package in (auth, jobs):
        assert all(hasattr(package, name) for name in package.__all__)
        assert not hasattr(package, "Unheard")


def test_the_tool_is_not_imported_by_the_runtime() -> None:
    """Importing all of the runtime leaves the development ring unimported."""
    done = run(RUNTIME, without=set())
    assert done.returncode == 0, done.stderr
    assert not [name for name in done.stdout.split() if name.startswith(("fastness.tool", "fastness.testing"))]


def test_importing_does_nothing_to_the_machine(tmp_path: Path) -> None:
    """On import no module writes, listens, connects or starts anything; metrics that workers share come with their objects."""
    shared = tmp_path / "metrics"
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCHED_IMPORT, *RUNTIME],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not shared.exists()


def test_the_base_dependencies_are_these() -> None:
    """A new base dependency is a decision: it lands on everyone's production path."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {Requirement(line).name for line in declared} == {
        "fastapi",
        "prometheus-client",
        "pydantic",
        "pydantic-settings",
        "structlog",
    }
