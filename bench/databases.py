"""Databases that can be attacked: a PostgreSQL server of our own, and a SQLite file, of which only the users die."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from fastness.testing import _servers


class Sqlite:
    """A file.

    Attributes:
        url: for the service.
        attacks: what can be done to it, by name.
    """

    def __init__(self, file: Path) -> None:
        self.url = f"sqlite:///{file}"
        self._file = file
        self.attacks: dict[str, Callable[[], None]] = {}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with sqlite3.connect(self._file, timeout=30) as connection:
            return connection.execute(sql).fetchall()


class Postgres:
    """A server of our own, because it is going to be killed. Its attributes are those of `Sqlite`."""

    def __init__(self, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._user = _servers._unprivileged().pw_name if os.geteuid() == 0 else None
        directory.mkdir()
        if self._user:
            shutil.chown(directory, self._user)
        # The servers of tests forget the last commits when they are killed; this one must not.
        durable = ("synchronous_commit=on", "full_page_writes=on")
        options = [part for option in durable for part in ("-c", option)]
        self._command = [*_servers.postgres_command(directory, port), *options]
        self._log = directory.parent / "postgres.log"
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self.attacks: dict[str, Callable[[], None]] = {"database": self._kill, "connections": self._cut}
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._command, user=self._user, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return process

    def _kill(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # at once, without a word to its clients: recovery follows
        self._process.wait()
        self._process = self._start()

    def _cut(self) -> None:
        with suppress(psycopg.OperationalError):
            self.rows("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def close(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()


@contextmanager
def opened(kind: str, place: Path) -> Iterator[Sqlite | Postgres]:
    """An empty database of that kind below `place`, which is over with the block."""
    if kind == "sqlite":
        yield Sqlite(place / "chaos.db")
        return
    server = Postgres(place / "postgres")
    try:
        yield server
    finally:
        server.close()
