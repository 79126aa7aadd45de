"""`fastness dev`: migrates, then runs a service's server and worker until told to stop; restarts them on an edit.

The children are direct and on a leash (`leash`), so none is ever left behind. The listening socket belongs to this
process: a port in use is found before anything starts, and requests wait while the server restarts.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastness.tool.dev import banner, service, settings
from fastness.tool.dev.process import Child, Output
from fastness.tool.dev.service import Service
from fastness.tool.dev.settings import DevSettings
from fastness.tool.errors import FAILED, OK, CommandError

NAME = "dev"


def run(*, host: str, port: int, reload: bool, worker: bool, grace: int) -> int:
    """Run the service in the current directory until Ctrl-C or SIGTERM; the exit code, which is that of a child that died.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        reload: restart on an edit.
        worker: run the worker too, when the service has one.
        grace: seconds that a child has to end when asked to.

    Raises:
        CommandError: there is no service, it refuses its settings, the port cannot be had, or the migration failed.
    """
    directory = Path.cwd()
    found = service.find(directory)
    if reload:
        import watchfiles  # noqa: F401 - missing, it is reported before anything starts
    with listen(host, port) as listener:
        asked = settings.ask(directory)
        return asyncio.run(_Session(found, asked, listener, reload=reload, worker=worker, grace=grace).run())


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` and `port`; port 0 takes a free one.

    Raises:
        CommandError: the address is in use, not ours, or no address at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CommandError(
            f"cannot listen on {host} port {port}: {error.strerror}: choose another with --host or --port"
        ) from None
    return listener


class _Session:
    def __init__(
        self,
        service: Service,
        settings: DevSettings,
        listener: socket.socket,
        *,
        reload: bool,
        worker: bool,
        grace: int,
    ) -> None:
        self._service = service
        self._settings = settings
        self._output = Output()
        self._base_url = banner.base_url(listener)
        self._reload = reload
        fd = listener.fileno()

        def child(name: str, module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> Child:
            return Child(name, module, arguments, output=self._output, grace=grace, pass_fds=pass_fds)

        self._migration = child("migrate", "alembic", "upgrade", "head")
        # In the order in which they end: first what takes work in, then what works it off.
        self._children = [child("server", "fastness.tool.dev.serve", str(fd), "app.main:app", pass_fds=[fd])]
        if worker and service.worker:
            # Beside the server, its health needs a port that is free, and nobody who asks.
            self._children.append(child("worker", "fastness.tool", "worker", "--port", "0"))
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        stop = asyncio.create_task(self._stop.wait())
        try:
            if self._service.migrated and not await self._migrate(stop):
                return OK
            return await self._supervise(stop)
        finally:
            stop.cancel()
            for child in (self._migration, *self._children):
                await child.stop()

    def _on_signal(self) -> None:
        if self._stop.is_set():  # asked twice: no more patience
            for child in (self._migration, *self._children):
                child.kill()
        else:
            self._say("stopping; once more to stop at once")
        self._stop.set()

    async def _migrate(self, stop: asyncio.Task[bool]) -> bool:
        """Bring the schema up to date; False when told to stop meanwhile."""
        await self._migration.start()
        ended = asyncio.create_task(self._migration.wait())
        await asyncio.wait([stop, ended], return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            ended.cancel()
            return False
        code = ended.result()
        await self._migration.stop()
        if code != 0:
            raise CommandError(f"the migration failed (exit {code}): the lines of 'migrate' above say why", code=FAILED)
        self._say("the schema is up to date")
        return True

    async def _supervise(self, stop: asyncio.Task[bool]) -> int:
        edits = asyncio.Queue[str]()
        watching = asyncio.create_task(self._watch(edits)) if self._reload else None
        greeting = asyncio.create_task(self._greet())
        edited = False
        try:
            while True:
                for child in self._children:
                    await child.start()
                died = await self._until_stopped_or_edited(stop, edits)
                if died is None and stop.done():
                    return OK
                if died is not None:
                    child, code = died
                    # An edit that does not start is the next edit's to repair; anything else is over.
                    if not edited or code > 128:
                        self._say(f"{child.name} ended with exit code {code}: stopping the rest")
                        return code or FAILED
                    self._say(f"{child.name} ended with exit code {code}: waiting for an edit")
                    if not await self._until_edited(stop, edits):
                        return OK
                for child in self._children:
                    await child.stop()
                edited = True
        finally:
            greeting.cancel()
            if watching is not None:
                watching.cancel()

    async def _until_stopped_or_edited(self, stop: asyncio.Task[bool], edits: asyncio.Queue[str]) -> tuple[Child, int] | None:
        """None when told to stop or on an edit, else the child that ended, and its exit code."""
        ends = {asyncio.create_task(child.wait()): child for child in self._children}
        edit = asyncio.create_task(self._next_edit(edits))
        try:
            done, _ = await asyncio.wait([stop, edit, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (edit, *ends):
                task.cancel()
        if stop in done or edit in done:
            return None
        ended = next(task for task in ends if task in done)
        return ends[ended], ended.result()

    async def _until_edited(self, stop: asyncio.Task[bool], edits: asyncio.Queue[str]) -> bool:
        edit = asyncio.create_task(self._next_edit(edits))
        await asyncio.wait([stop, edit], return_when=asyncio.FIRST_COMPLETED)
        edit.cancel()
        return not stop.done()

    async def _next_edit(self, edits: asyncio.Queue[str]) -> None:
        path = await edits.get()
        while not edits.empty():
            edits.get_nowait()
        self._say(f"{path} changed: restarting")

    async def _watch(self, edits: asyncio.Queue[str]) -> None:
        async for path in _edited_files(self._service.directory):
            edits.put_nowait(path)

    async def _greet(self) -> None:
        for line in await banner.lines(self._base_url, self._service.directory, self._settings):
            self._say(line)

    def _say(self, text: str) -> None:
        self._output.line(NAME, text)


async def _edited_files(directory: Path) -> AsyncIterator[str]:
    """One path, relative to `directory`, for each burst of edits to the app or its settings."""
    from watchfiles import PythonFilter, awatch

    watched = [directory / "app", *(file for file in [directory / ".env", directory / "pyproject.toml"] if file.is_file())]
    async for changes in awatch(*watched, watch_filter=PythonFilter(extra_extensions=(".env", ".toml", ".sql"))):
        yield min(Path(path).relative_to(directory).as_posix() for _, path in changes)
