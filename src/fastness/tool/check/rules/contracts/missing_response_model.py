"""A JSON endpoint declares no response model.

Without `response_model` or a return annotation FastAPI sends whatever the function returns: a column that is added to a
table appears in the response, the OpenAPI document says nothing about the answer, and no generated client knows its type.

Annotate the return type, or give `response_model=`. Responses that are not JSON need none. When the app is booted, its routes
say which of them have a model, which are JSON, and which are in the document.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge.answering.responses import is_response, returned, sends_json
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Function, argument

_BODILESS = (204, 205, 304)


@rule(
    severity=Severity.WARNING, practice="3.2", help="annotate what it returns with a Pydantic model, or give `response_model=`"
)
def check(service: Service, served: Served | None) -> Iterator[Found]:
    seen = set()
    if served is not None:
        for booted in served.app.operations:
            handler = served.function(booted.endpoint)
            if handler is None or handler in seen or not _served_without(booted) or not _returns_json(service, handler):
                continue
            seen.add(handler)
            message = f"{booted.title} ({handler.qualified}) is served with neither a response model nor a return type"
            yield found(handler, handler.node, message, source="boot")
    for route in service.routes:
        if served is not None and served.routes(route.handler):
            continue
        if route.handler not in seen and _lacks_model(service, route):
            seen.add(route.handler)
            method = "/".join(sorted(route.methods))
            message = (
                f"{method} {route.path or ''} ({route.handler.qualified}) declares neither a response model nor a return type"
            )
            yield found(route.handler, route.handler.node, message)


def _lacks_model(service: Service, route: Route) -> bool:
    if route.option("response_model") is not None or not sends_json(route) or _hidden(route):
        return False
    return _returns_json(service, route.handler)


def _served_without(route: BootedRoute) -> bool:
    if route.response_model is not None or route.streams or not route.include_in_schema or route.status_code in _BODILESS:
        return False
    return "json" in (route.media_type or "")


def _returns_json(service: Service, handler: Function) -> bool:
    """It has no return type, and some return of it is no response yet."""
    if handler.node.returns is not None or handler.module.is_test:
        return False
    values = returned(handler)
    return bool(values) and any(not is_response(service, value, handler) for value in values)


def _hidden(route: Route) -> bool:
    """It is in no document: the route says so, its router, or every place that includes that."""
    if _hides(route.call) or route.router is None:
        return _hides(route.call)
    included = [include.call for include in route.router.included_in]
    return _hides(route.router.call) or (bool(included) and all(map(_hides, included)))


def _hides(call: ast.Call) -> bool:
    option = argument(call, "include_in_schema")
    return isinstance(option, ast.Constant) and option.value is False


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/")
        def root():  # found
            return {"message": "hello"}
    """),
    Bad(
        """
        from fastapi import APIRouter, FastAPI
        from fastapi.responses import HTMLResponse

        shown = APIRouter()
        hidden = APIRouter(include_in_schema=False)
        pages = APIRouter(default_response_class=HTMLResponse)

        def made():
            return {"made": True}

        shown.add_api_route("/modelled", made, response_model=dict[str, bool])

        @shown.get("/open")
        def open_():  # found
            return {}

        @hidden.get("/hidden")
        def unseen():
            return {}

        @pages.get("/page")
        def page():
            return "<p>"

        app = FastAPI()
        for router in (shown, hidden, pages):
            app.include_router(router)
    """,
        booted=True,
    ),
    Good("""
        from fastapi import FastAPI, Response, status
        from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
        from fastapi.templating import Jinja2Templates

        app = FastAPI()
        templates = Jinja2Templates("templates")

        @app.get("/annotated")
        def annotated() -> dict[str, str]:
            return {}

        @app.get("/model", response_model=dict)
        def model():
            return {}

        @app.get("/html", response_class=HTMLResponse)
        def html():
            return "<p>"

        @app.delete("/", status_code=status.HTTP_204_NO_CONTENT)
        def delete():
            return None

        def answer():
            return JSONResponse({})

        @app.get("/helper")
        def helper():
            return answer()

        @app.get("/page")
        def page():
            return templates.TemplateResponse("page.html")

        @app.get("/stream")
        async def stream():
            return StreamingResponse(iter(()))

        @app.websocket("/ws")
        async def ws(socket):
            return 1
    """),
    Good(
        """
        from fastapi import APIRouter, FastAPI
        from fastapi.responses import FileResponse, PlainTextResponse

        app = FastAPI()
        texts = APIRouter(default_response_class=PlainTextResponse)

        @texts.get("/robots.txt")
        def robots():
            return "User-agent: *"

        @app.get("/report", response_class=FileResponse)
        def report():
            return "report.pdf"

        @app.get("/internal", include_in_schema=False)
        def internal():
            return {}

        admin = APIRouter()

        @admin.get("/pages")
        def pages():
            return {}

        app.include_router(texts)
        app.include_router(admin, include_in_schema=False)
    """,
        "the router says that its answers are no JSON, the route that it is not in the document",
    ),
    Good(
        """
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.post("/events")
        def note(name: str):
            print(name)

        @app.get("/gone")
        def gone():
            raise HTTPException(410)

        @app.get("/users")
        def users():
            response = JSONResponse([])
            response.headers["X-Total-Count"] = "0"
            return response

        async def listed():
            return {}

        app.add_api_route("/listed", listed, response_model=dict[str, int])
    """,
        "nothing is returned, something is only raised, or the response is made a few lines above",
    ),
    Good(
        """
        from authlib.integrations.starlette_client import OAuth
        from fastapi import FastAPI, Request

        app = FastAPI()
        oauth = OAuth()

        @app.get("/login")
        async def login(request: Request):
            return await oauth.google.authorize_redirect(request, "https://example.org/callback")
    """,
        "the client of an identity provider makes the redirect",
    ),
    Good(
        """
        from fastapi import FastAPI
        from starlette.responses import StreamingResponse

        class Csv(StreamingResponse):
            media_type = "text/csv"

        app = FastAPI()

        @app.get("/export")
        def export():
            return Csv(iter(["a,b"]))
    """,
        "a response class of the project's own",
    ),
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        class OrderResponse(BaseModel):
            id: int

        app = FastAPI()

        @app.get("/orders/{id}")
        def order(id: int):  # found
            return OrderResponse(id=id)
    """),
]
