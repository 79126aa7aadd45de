"""The reference service, running as a newcomer runs it: a copy of the template on SQLite, migrated, served by uvicorn."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPLATE = Path(__file__).parent.parent / "template"
# One client makes all the load here.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "WARNING",
    "CLIENT_RATE_LIMIT": "10000/second, burst 100000000",
}
_TIME_LIMIT = 30.0


@contextmanager
def migrated(database: str | None = None) -> Iterator[Path]:
    """A copy of the template in a directory of its own, with its schema in place: in `database`, or a SQLite file beside it."""
    with tempfile.TemporaryDirectory() as directory:
        service = Path(directory) / "relay"
        left_out = shutil.ignore_patterns("__pycache__", ".*", "*.db*")
        shutil.copytree(TEMPLATE, service, ignore=left_out)
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        environment = ENVIRONMENT | ({} if database is None else {"DATABASE_URL": database})
        done = subprocess.run(command, cwd=service, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the template's migrations failed:\n{done.stderr}")
        yield service


@contextmanager
def served(service: Path) -> Iterator[tuple[str, float]]:
    """Run the service; its URL, and the seconds from the start of the process until `/readyz` said 200."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)],
        cwd=service,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() - started > _TIME_LIMIT:
                raise RuntimeError("the service did not become ready; its output is above")
            time.sleep(0.01)
        yield url, time.monotonic() - started
    finally:
        process.terminate()
        process.wait(_TIME_LIMIT)


def token(service: Path, *scopes: str) -> str:
    """A development token for the service."""
    command = [sys.executable, "-m", "fastness.tool", "token", *(part for scope in scopes for part in ("--scope", scope))]
    done = subprocess.run(command, cwd=service, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
