"""A JSON endpoint declares no response model.

Without `response_model` or a return annotation FastAPI sends whatever the function returns: a column that is added to a
table appears in the response, the OpenAPI document says nothing about the answer, and no generated client knows its type.

Annotate the return type, or give `response_model=`. Responses that are not JSON need none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.responses import is_response, returned, sends_json
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route


@rule(
    severity=Severity.WARNING, practice="3.2", help="annotate what it returns with a Pydantic model, or give `response_model=`"
)
def check(service: Service) -> Iterator[Found]:
    seen = set()
    for route in service.routes:
        if route.handler not in seen and _lacks_model(service, route):
            seen.add(route.handler)
            method = "/".join(sorted(route.methods))
            message = (
                f"{method} {route.path or ''} ({route.handler.qualified}) declares neither a response model nor a return type"
            )
            yield found(route.handler, route.handler.node, message)


def _lacks_model(service: Service, route: Route) -> bool:
    handler = route.handler
    if handler.node.returns is not None or route.option("response_model") is not None or handler.module.is_test:
        return False
    if not sends_json(route) or _hidden(route):
        return False
    values = returned(handler)
    return bool(values) and any(not is_response(service, value, handler) for value in values)


def _hidden(route: Route) -> bool:
    option = route.option("include_in_schema")
    return isinstance(option, ast.Constant) and option.value is False


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/")
        def root():  # found
            return {"message": "hello"}
    """),
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
]
