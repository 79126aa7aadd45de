"""`fastness demo` from an empty directory: every step verified, nothing left behind."""

import http.client
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fastness.tool.demo.service import DemoService
from fastness.tool.errors import CommandError

from .conftest import PATIENCE, Running, gone

Start = Callable[..., Running]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo makes its directory."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def processes_in(directory: Path) -> list[int]:
    """The processes that work in a directory or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_every_step_is_verified(tmp_path: Path, temporary: Path, start: Start) -> None:
    """`--exit` goes through the whole journey and exits 0; its directory and its processes are gone."""
    demo = start("demo", "--exit", cwd=tmp_path, TMPDIR=str(temporary))
    assert demo.ended(seconds=600) == 0, demo.output
    numbers = re.findall(r"^ *(\d+)/(\d+)  (?!FAILED)", demo.output, re.MULTILINE)
    assert numbers == [(str(number), str(len(numbers))) for number in range(1, len(numbers) + 1)]
    assert demo.output.endswith("Every step was verified.\n")
    assert list(temporary.iterdir()) == []
    assert processes_in(temporary) == []


def test_it_stays_until_ctrl_c(tmp_path: Path, temporary: Path, start: Start) -> None:
    """Without `--exit` the service stays up, its printed call works, and Ctrl-C ends it all with exit code 0."""
    demo = start("demo", cwd=tmp_path, TMPDIR=str(temporary))
    output = demo.until(lambda output: "try it" in output, seconds=600)
    call = shlex.split(re.search(r"try it +(.*)", output)[1])  # type: ignore[index]
    url, name, value = urlsplit(call[-1]), *call[call.index("-H") + 1].split(": ", 1)
    connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE)
    connection.request("GET", url.path, headers={name: value})
    assert connection.getresponse().status == 200
    connection.close()
    assert demo.end(signal.SIGINT) == 0
    assert list(temporary.iterdir()) == []
    assert processes_in(temporary) == []


def test_interrupted_half_way(tmp_path: Path, temporary: Path, start: Start) -> None:
    """SIGTERM in the middle of the journey leaves nothing behind either."""
    demo = start("demo", cwd=tmp_path, TMPDIR=str(temporary))
    demo.until(lambda output: " 3/" in output, seconds=600)
    assert demo.end(signal.SIGTERM) == 143
    assert list(temporary.iterdir()) == []
    # A process that was just being started learns from its leash, a moment later, that the demo is gone.
    assert gone(*processes_in(temporary))


def test_no_orphan_when_it_is_killed(tmp_path: Path, temporary: Path, start: Start) -> None:
    """SIGKILL leaves its directory, which nobody can prevent, but no process."""
    demo = start("demo", cwd=tmp_path, TMPDIR=str(temporary))
    demo.until(lambda output: " 3/" in output, seconds=600)
    pids = processes_in(temporary)
    assert pids
    demo.end(signal.SIGKILL)
    assert gone(*pids)


def test_service_that_does_not_start_is_a_failure(service: Path) -> None:
    """A service that ends by itself fails the step with its last line, instead of waiting for the time limit."""
    (service / "app/main.py").write_text("raise RuntimeError('no')\n")
    with DemoService(service / ".") as broken, pytest.raises(CommandError, match="the service ended: "):
        broken.start()
    assert processes_in(service) == []


def test_service_sees_nothing_of_the_shells_settings(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that the shell holds for another service do not reach the demo's."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://production")
    (service / "show.py").write_text("import os\nprint(os.environ.get('DATABASE_URL'), os.environ['ENVIRONMENT'])\n")
    assert DemoService(service).run("show") == "None development\n"


def test_failing_command_is_its_last_line(service: Path) -> None:
    """A command of the journey that fails is told with its exit code and last line."""
    (service / "fail.py").write_text("import sys\nsys.exit('first\\nlast')\n")
    with pytest.raises(CommandError, match=r"^fail now: exit code 1: last$"):
        DemoService(service).run("fail", "now")


def test_script_needs_only_a_shell_and_python() -> None:
    """`scripts/demo` is POSIX sh."""
    script = Path(__file__).parents[3] / "scripts/demo"
    assert script.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", script], check=True)
