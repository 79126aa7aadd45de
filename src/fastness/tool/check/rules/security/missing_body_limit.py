"""A request body of any size is accepted.

FastAPI reads the whole body before the endpoint runs, a JSON document as text and then as objects of several times its size.
One client that posts a gigabyte, or a hundred that post fifty megabytes each, ends the process for everybody.

Give the app a limit (`FastAPI(max_body_size=...)`, or a middleware that counts what it receives), and larger ones to the few
operations that need them. A proxy's limit helps where every request passes that proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.boot.app import App, BootedRoute
from fastness.tool.check.knowledge.access import limits
from fastness.tool.check.knowledge.facts import apps
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.knowledge.inputs.bodies import bodies
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import Elements, External
from fastness.tool.project.routes import Route

_PROXY = (
    "*nginx*",
    "*/*nginx*",
    "*/*/*nginx*",
    "*/nginx/*",
    "*/*.conf",
    "*/*/*.conf",
    "*traefik*",
    "*/*traefik*",
    "Caddyfile",
    "*/Caddyfile",
)
_LIMITS = re.compile(r"client_max_body_size|maxRequestBodyBytes|request_body|max_size|limit-request-body", re.IGNORECASE)
_RAW = {"fastapi.Request().body", "fastapi.Request().json", "fastapi.Request().form", "fastapi.UploadFile()"}


_KNOWN_TO_LET_THROUGH = ("starlette.middleware.", "fastapi.middleware.")
_LIMIT_LAYERS = "starlette.middleware.body_limit."


@rule(severity=Severity.WARNING, practice="6.2", help="set `max_body_size` on the app, or count the body in a middleware")
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    yield from _static(service) if served is None else _at_boot(served, probed)


def _static(service: Service) -> Iterator[Found]:
    app = apps.main(service)
    if app is None or limits.bodies_are_limited(service):
        return
    taking = [route for route in service.routes if _takes_body(service, route)]
    if not taking or any(_LIMITS.search(text) for _, text in service.project.glob(*_PROXY)):
        return
    first = taking[0]
    message = f"{len(taking)} path operations read a body, and nothing limits its size"
    yield found(
        app.scope, app.call, message, proof(first.handler, first.handler.node, f"{first.handler.qualified} reads a body"),
        count=len(taking),
    )  # fmt: skip


def _takes_body(service: Service, route: Route) -> bool:
    handler = route.handler
    if handler.module.is_test or not route.writes:
        return False
    if any(True for _ in bodies(service, route)):
        return True
    if any(
        _is_upload(value) for p, _ in handler.parameters for value in service.resolver.annotation(p.annotation, handler.parent)
    ):
        return True
    return any(
        isinstance(value, External) and value.path in _RAW
        for site in handler.calls
        if site.name in {"body", "json", "form"}
        for value in service.resolver.targets(site)
    )


def _is_upload(value: object) -> bool:
    if isinstance(value, Elements):
        return any(_is_upload(inner) for inner in value.of)
    return isinstance(value, External) and value.path in _RAW


def _at_boot(served: Served, probed: Probed | None) -> Iterator[Found]:
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
    return all(name.startswith(_KNOWN_TO_LET_THROUGH) and not name.startswith(_LIMIT_LAYERS) for name in names) and not any(
        entry.function for entry in app.middleware
    )


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        app = FastAPI()  # found

        class Order(BaseModel):
            text: str

        @app.post("/orders")
        def create(order: Order): ...
    """),
    Good(
        """
        from fastapi import FastAPI
        from pydantic import BaseModel

        app = FastAPI(max_body_size=1_000_000)

        class Order(BaseModel):
            text: str

        @app.post("/orders")
        def create(order: Order): ...
    """,
        "the app refuses larger bodies",
    ),
    Good(
        """
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.middleware("http")
        async def limit(request: Request, call_next):
            if int(request.headers.get("content-length", 0)) > 1_000_000:
                return JSONResponse({}, 413)
            return await call_next(request)

        @app.post("/orders")
        async def create(request: Request):
            return await request.json()
    """,
        "a middleware looks at the length",
    ),
    Good(
        """
        # file: deploy/nginx.conf
        http { client_max_body_size 1m; }
        # file: app/main.py
        from fastapi import FastAPI
        from pydantic import BaseModel

        app = FastAPI()

        class Order(BaseModel):
            text: str

        @app.post("/orders")
        def create(order: Order): ...
    """,
        "the proxy in front of it does",
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def orders(): ...

        @app.post("/orders/{id}/close")
        def close(id: int): ...
    """,
        "no operation reads a body",
    ),
    Bad(
        """
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str

        app = FastAPI()  # found

        @app.post("/items")
        def create(item: Item) -> None: ...
    """,
        booted=True,
    ),
    Bad(
        """
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
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/items")
        def items(name: str) -> None: ...
    """,
        "nothing reads a body",
        booted=True,
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
        booted=True,
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
        booted=True,
    ),
]
