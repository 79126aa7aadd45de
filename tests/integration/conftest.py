"""PgBouncer, and what servers that a test starts itself have in common."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from fastness.testing import _servers

TIME_LIMIT = 120


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def wait_for(url, process):
    deadline = time.monotonic() + TIME_LIMIT
    while True:
        try:
            psycopg.connect(url, connect_timeout=5, prepare_threshold=None).close()
        except psycopg.OperationalError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def unprivileged():
    """Neither server runs as root."""
    return _servers._unprivileged().pw_name if os.geteuid() == 0 else None


@pytest.fixture
def pooled_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The way through PgBouncer, which gives each transaction whichever connection is free."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        text = "service missing: PgBouncer is not installed (Debian: apt install pgbouncer)"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    server, port, user = urlsplit(postgres_url), free_port(), unprivileged()
    password = f" password={server.password}" if server.password else ""
    configuration = tmp_path / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port} user={server.username}{password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 4\n"
    )
    readable = tmp_path
    while user and readable != readable.parent:
        readable.chmod(readable.stat().st_mode | 0o011)
        readable = readable.parent
    configuration.chmod(0o644)
    url = f"postgresql://{server.username}@127.0.0.1:{port}{server.path}"
    with subprocess.Popen([program, "--quiet", str(configuration)], user=user, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
