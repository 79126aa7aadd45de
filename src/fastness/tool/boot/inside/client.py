"""Requests to an ASGI app in this process: a scope in, an answer out, within a time limit. No server, no client library."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable

_MOST_BODY = 65_536


class Answer:
    """What an app answered.

    Attributes:
        status: 0 when there was no answer; `error` says why.
        headers: in order, names in lower case.
        body: as text, its first 64 KiB.
        read: bytes of the request that the app asked for.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = ""
        self.error: str | None = None
        self.read = 0
        self.seconds = 0.0

    def header(self, name: str) -> str | None:
        """The first header of a name."""
        return next((value for key, value in self.headers if key == name), None)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"status": self.status, "headers": self.headers, "body": self.body, "error": self.error, "read": self.read}


class Client:
    """Asks one app.

    Args:
        app: what a server would call.
        host: the `Host` that every request carries.
        seconds: that each answer may take.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, host: str, seconds: float) -> None:
        self.app = app
        self.host = host
        self.seconds = seconds
        self.state: dict[str, Any] = {}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: list[bytes] | None = None,
        length: bool = True,
    ) -> Answer:
        """Send one request and collect its answer; an exception that the app lets through is an answer too.

        Args:
            body: in the pieces in which it arrives.
            length: announce the body's size, as clients that know it do.
        """
        chunks = body or [b""]
        sent = {"host": self.host, "accept": "application/json", "user-agent": "fastness-check"}
        if body and length:
            sent["content-length"] = str(sum(map(len, chunks)))
        sent.update(headers or {})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode("utf-8"),
            "root_path": "",
            "query_string": query.encode("utf-8"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": (self.host, 443),
            "state": dict(self.state),
        }
        answer = Answer()
        begin = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._run(scope, list(chunks), answer), self.seconds)
        except asyncio.TimeoutError:
            answer.error = answer.error or "no answer within %g s" % self.seconds
        except Exception as error:  # re-raised by Starlette after it answered, for the server's log
            answer.error = type(error).__name__
        answer.seconds = asyncio.get_running_loop().time() - begin
        return answer

    async def _run(self, scope: dict[str, Any], chunks: list[bytes], answer: Answer) -> None:
        gone = asyncio.Event()
        size = 0

        async def receive() -> dict[str, Any]:
            if chunks:
                chunk = chunks.pop(0)
                answer.read += len(chunk)
                return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal size
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [
                    (bytes(k).decode("latin-1").lower(), bytes(v).decode("latin-1")) for k, v in message.get("headers", ())
                ]
            elif message["type"] == "http.response.body":
                if size < _MOST_BODY:
                    part = bytes(message.get("body", b""))[: _MOST_BODY - size]
                    answer.body += part.decode("utf-8", "replace")
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    gone.set()  # a background task still runs; the client has all it wanted

        await self.app(scope, receive, send)


class Lifespan:
    """Runs an app's start-up and shutdown as a server would, in a task of their own, each within a time limit."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, seconds: float) -> None:
        self.app = app
        self.seconds = seconds
        self.state: dict[str, Any] = {}
        self._to_app: Any = None
        self._from_app: Any = None
        self._task: Any = None

    async def start(self) -> str | None:
        """Start up; what went wrong, if anything."""
        self._to_app, self._from_app = asyncio.Queue(), asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.ensure_future(self.app(scope, self._to_app.get, self._from_app.put))
        return await self._step("startup")

    async def stop(self) -> str | None:
        """Shut down; what went wrong, if anything."""
        return None if self._task is None or self._task.done() else await self._step("shutdown")

    async def _step(self, name: str) -> str | None:
        await self._to_app.put({"type": "lifespan." + name})
        answered = asyncio.ensure_future(self._from_app.get())
        done, _ = await asyncio.wait({answered, self._task}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
        if answered in done:
            message = answered.result()
            if message["type"] == "lifespan.%s.complete" % name:
                return None
            lines = str(message.get("message", "")).strip().splitlines()
            return "its %s failed%s" % (name, ": " + lines[-1][:300] if lines else "")
        answered.cancel()
        if not done:
            self._task.cancel()
            return "its %s took longer than %g s" % (name, self.seconds)
        error = None if self._task.cancelled() else self._task.exception()
        return "its %s failed%s" % (name, ": %s: %s" % (type(error).__name__, str(error)[:300]) if error else "")
