"""A request may be as large as its sender likes.

Neither FastAPI nor Starlette nor uvicorn bounds a body: an endpoint that takes JSON reads 50 MB, and 5 GB, into memory before
anything is validated, and a few such requests at a time end the process for everybody.

Set `max_body_size` on the app (FastAPI 0.164 and newer), or put a middleware that counts what arrives before the others. A
limit that reads `Content-Length` alone does not hold: a client need not announce what it sends. A proxy's limit protects only
what comes through the proxy. Booted, the app's options and middleware decide; probed, a body of 48 MiB does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.boot.app import App, BootedRoute
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity

_KNOWN_TO_LET_THROUGH = ("starlette.middleware.", "fastapi.middleware.")
_LIMITS = "starlette.middleware.body_limit."


@rule(severity=Severity.WARNING, practice="6.2", help="give the app a `max_body_size`, or count bytes in a middleware")
def check(served: Served, probed: Probed | None) -> Iterator[Found]:
    readers = [route for route in served.app.operations if _reads_body(route) and route.max_body_size is None]
    if not readers or any(app.max_body_size is not None for app in served.app.apps):
        return
    others = f" and {len(readers) - 1} more operations" if len(readers) > 1 else ""
    told = f"{readers[0].title}{others} would read one"
    announced, unannounced = _taken(probed, "oversized"), _taken(probed, "unannounced")
    if unannounced and not announced:
        message = f"only a body that announces its size is refused: {told} that does not"
    elif unannounced or (probed is None and all(map(_lets_through, served.app.apps))):
        message = f"nothing limits the size of a request body: {told} of any size"
    else:
        return
    yield replace(served.at_app(message), source="boot" if probed is None else "probe")


def _reads_body(route: BootedRoute) -> bool:
    return any(parameter.where == "body" for parameter in route.parameters)


def _taken(probed: Probed | None, what: str) -> bool:
    answer = probed.answer(what, 200) if probed is not None else None
    return answer is not None and answer.reached


def _lets_through(app: App) -> bool:
    """All of its middleware is known, and none of it limits anything."""
    names = [entry.name for entry in app.middleware]
    return all(name.startswith(_KNOWN_TO_LET_THROUGH) and not name.startswith(_LIMITS) for name in names) and not any(
        entry.function for entry in app.middleware
    )


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str

        app = FastAPI()  # found

        @app.post("/items")
        def create(item: Item) -> None: ...
    """),
    Bad("""
        from fastapi import FastAPI
        from starlette.responses import PlainTextResponse

        app = FastAPI()  # found

        @app.middleware("http")
        async def limited(request, call_next):
            if int(request.headers.get("content-length", 0)) > 1_000_000:
                return PlainTextResponse("too large", 413)
            return await call_next(request)

        @app.post("/items")
        def create(item: dict[str, int]) -> None: ...
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/items")
        def items(name: str) -> None: ...
    """,
        "nothing reads a body",
    ),
    Good(
        """
        from fastapi import FastAPI
        from fastness.security import SecurityMiddleware, SecurityPolicy

        app = FastAPI()
        app.add_middleware(SecurityMiddleware, policy=SecurityPolicy())

        @app.post("/items")
        def create(item: dict[str, int]) -> None: ...
    """,
        "the middleware counts",
    ),
    Good(
        """
        from fastapi import FastAPI

        class Counts:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                size = 0

                async def counted():
                    nonlocal size
                    message = await receive()
                    size += len(message.get("body", b""))
                    if size > 1_000_000:
                        raise ValueError("too large")
                    return message

                await self.app(scope, counted, send)

        app = FastAPI()
        app.add_middleware(Counts)

        @app.post("/items")
        def create(item: dict[str, int]) -> None: ...
    """,
        "one of its own, whose name says nothing: a body that is sent tells",
    ),
]
