"""`fastness dev` with real processes: what starts, what restarts, and that nothing is ever left behind."""

import http.client
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import PATIENCE, Running, gone

Start = Callable[..., Running]


def get(output: str, path: str, **headers: str) -> Any:
    match = re.search(r"serving +http://([\d.]+):(\d+)", output)
    assert match is not None
    connection = http.client.HTTPConnection(match[1], int(match[2]), timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def both_up(output: str) -> bool:
    return "serving" in output and "readiness" in output and "worker is" in output


def children(output: str) -> tuple[int, int]:
    """Process ids of server and worker."""
    return get(output, "/readyz")["pid"], int(re.findall(r"worker is (\d+)", output)[-1])


def test_server_and_worker_run_and_end_in_order(service: Path, start: Start) -> None:
    """Both run with prefixed lines; SIGTERM ends the server first, then the worker, and exits 0."""
    dev = start("dev", "--port", "0", cwd=service)
    output = dev.until(both_up)
    pids = children(output)
    assert get(output, "/client", **{"X-Forwarded-For": "192.0.2.1"}) == "127.0.0.1"  # nobody has declared a proxy
    assert re.search(r"^docs|^dev +\| docs +http://127\.0\.0\.1:\d+/docs$", output, re.MULTILINE)
    assert "| metrics" not in output  # this service has none, so none is promised
    assert dev.end(signal.SIGTERM) == 0
    assert gone(*pids, seconds=5)
    assert dev.output.index("Finished server process") < dev.output.index("worker  | worker stops")


def test_ctrl_c_ends_everything(service: Path, start: Start) -> None:
    """SIGINT ends both and exits 0."""
    dev = start("dev", "--port", "0", cwd=service)
    pids = children(dev.until(both_up))
    assert dev.end(signal.SIGINT) == 0
    assert gone(*pids, seconds=5)


def test_no_orphan_when_the_parent_is_killed(service: Path, start: Start) -> None:
    """SIGKILL to `fastness dev` ends its children too, in their own way, and what they started."""
    worker = service / "app/worker.py"
    opening = (
        'import subprocess, sys\n        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])\n'
        '        print("started", child.pid)\n        print("worker is"'
    )
    source = worker.read_text().replace('print("worker is"', opening)
    worker.write_text(source.replace('print("worker stops")', 'open("asked", "w").close()'))
    dev = start("dev", "--port", "0", "--no-reload", "--grace", "1", cwd=service)
    output = dev.until(both_up)
    started = re.search(r"started (\d+)", output)
    assert started is not None
    pids = (*children(output), int(started[1]))
    assert dev.end(signal.SIGKILL) == -signal.SIGKILL
    assert gone(*pids)
    assert (service / "asked").exists()


def test_stubborn_worker_is_killed_after_the_grace(service: Path, start: Start) -> None:
    """A worker that does not come to its end is killed once the grace is over."""
    worker = (service / "app/worker.py").read_text()
    (service / "app/worker.py").write_text(worker.replace("GRACE = 0", "GRACE = 600"))
    dev = start("dev", "--port", "0", "--no-reload", "--grace", "1", cwd=service)
    pids = children(dev.until(both_up))
    assert dev.end() == 0
    assert gone(*pids, seconds=5)


@pytest.mark.parametrize("victim", [0, 1])
def test_child_that_dies_ends_the_rest(service: Path, start: Start, victim: int) -> None:
    """When server or worker is killed the other one ends, and the exit code is that of the dead one."""
    dev = start("dev", "--port", "0", cwd=service)
    pids = children(dev.until(both_up))
    os.kill(pids[victim], signal.SIGKILL)
    assert dev.ended() == 128 + signal.SIGKILL
    assert gone(*pids, seconds=5)


def test_edit_restarts_and_requests_wait(service: Path, start: Start) -> None:
    """An edit restarts server and worker; a broken edit waits for the next one; no connection is refused meanwhile."""
    dev = start("dev", "--port", "0", cwd=service)
    output = dev.until(both_up)
    main = service / "app/main.py"
    source = main.read_text()
    main.write_text("raise RuntimeError('broken edit')\n")
    dev.until(lambda output: "waiting for an edit" in output)
    assert "broken edit" in dev.output
    main.write_text(source.replace("GENERATION = 1", "GENERATION = 1000"))
    # Of another length: Python takes a file of the same second and size for the one that it has compiled.
    assert get(output, "/generation") == 1000
    pids = children(dev.output)
    os.kill(pids[0], signal.SIGKILL)  # no edit's fault
    assert dev.ended() == 128 + signal.SIGKILL
    assert gone(*pids, seconds=5)


def test_app_that_does_not_start_ends_it(service: Path, start: Start) -> None:
    """An app that fails at the first start ends the command with its exit code; its traceback is in the server's lines."""
    (service / "app/main.py").write_text("raise RuntimeError('no database')\n")
    dev = start("dev", "--port", "0", cwd=service)
    assert dev.ended() == 1
    assert re.search(r"^server +\| RuntimeError: no database$", dev.output, re.MULTILINE)


def test_no_worker_runs_the_server_alone(service: Path, start: Start) -> None:
    """`--no-worker` leaves the worker out."""
    dev = start("dev", "--port", "0", "--no-worker", "--no-reload", cwd=service)
    dev.until(lambda output: "readiness" in output)
    assert dev.end() == 0
    assert "worker" not in dev.output


def test_worker_that_the_app_runs_itself_is_not_started(service: Path, start: Start) -> None:
    """A worker module without resources is the app's own affair."""
    (service / "app/worker.py").write_text("def run() -> None: ...\n")
    dev = start("dev", "--port", "0", "--no-reload", cwd=service)
    dev.until(lambda output: "readiness" in output)
    assert dev.end() == 0


def test_migrations_run_first(service: Path, start: Start) -> None:
    """Alembic brings the schema up to date before anything is served."""
    (service / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    (service / "migrations/versions").mkdir(parents=True)
    (service / "migrations/env.py").write_text("print('migrating')\n")
    dev = start("dev", "--port", "0", "--no-reload", cwd=service)
    dev.until(both_up)
    assert dev.output.index("migrate | migrating") < dev.output.index("Started server process")
    assert dev.end() == 0


def test_failed_migration_is_one_line_and_serves_nothing(service: Path, start: Start) -> None:
    """A migration that fails ends the command with 1, before a server starts."""
    (service / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    (service / "migrations/versions").mkdir(parents=True)
    (service / "migrations/env.py").write_text("raise SystemExit('database unreachable')\n")
    dev = start("dev", "--port", "0", cwd=service)
    assert dev.ended() == 1
    assert "migrate | database unreachable" in dev.output
    assert dev.output.splitlines()[-1].startswith("fastness: the migration failed (exit 1)")
    assert "server" not in dev.output


def test_port_in_use_is_one_line(service: Path, start: Start, taken_port: int) -> None:
    """A port in use is found before anything starts: one line that says what to do, exit code 2."""
    dev = start("dev", "--port", str(taken_port), cwd=service)
    assert dev.ended() == 2
    (line,) = dev.output.splitlines()
    assert str(taken_port) in line
    assert "--port" in line


def test_directory_without_a_service_is_one_line(tmp_path: Path, start: Start) -> None:
    """Outside a service the command says where to run it, and exits 2."""
    dev = start("dev", cwd=tmp_path)
    assert dev.ended() == 2
    (line,) = dev.output.splitlines()
    assert "no app/main.py" in line
