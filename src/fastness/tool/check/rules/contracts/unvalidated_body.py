"""A write takes a body that nothing validates.

`body: dict` and `await request.json()` accept anything: missing keys become 500s, extra keys go into the database, texts
arrive where numbers are expected, and the OpenAPI document says nothing about the input.

Declare a Pydantic model with the fields, types and bounds that the operation takes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.hints import arguments
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import CallSite, Function, last_name
from fastness.tool.project.values import ClassValue, External

_HOOK = re.compile(r"webhook|callback|hook|event|proxy|graphql|ingest|mcp|rpc", re.IGNORECASE)
_CHECKS = re.compile(r"model_validate|parse_obj|validate|verify|construct_event|TypeAdapter|load")
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping"}
_LISTS = {"list", "List"}
_WHOLE = re.compile(r"body|data|payload|json|req(?:uest)?(?:_(?:data|body))?|item|obj|inputs?")


@rule(severity=Severity.ERROR, practice="3.3", help="declare a Pydantic model for the body")
def check(service: Service) -> Iterator[Found]:
    seen: set[Function] = set()
    for route in service.routes:
        handler = route.handler
        if not route.writes or handler in seen or handler.module.is_test or _HOOK.search(f"{route.path} {handler.name}"):
            continue
        seen.add(handler)
        body = _untyped(service, route)
        if body is not None:
            yield found(handler, handler.node, f"{handler.qualified} takes {body}: nothing validates it")


def _untyped(service: Service, route: Route) -> str | None:
    handler = route.handler
    injected = {dependency.parameter for dependency in service.parameters(handler)}
    for parameter, default in handler.parameters:
        if parameter.arg in injected or _comes_from_elsewhere(default) or "{" + parameter.arg in (route.path or ""):
            continue
        declared = parameter.annotation
        if declared is not None and _WHOLE.fullmatch(parameter.arg):
            declared = _present(declared)
        if declared is not None and _is_open(declared):
            return f"{parameter.arg}: {ast.unparse(declared)}"
    for site in handler.calls:
        targets = service.resolver.targets(site)
        if site.name == "json" and any(isinstance(v, External) and v.path == "fastapi.Request().json" for v in targets):
            return None if _validated_inside(service, handler) else "request.json()"
    return None


def _comes_from_elsewhere(declared: ast.expr | None) -> bool:
    """A dependency, or a part of the request that is not the body: anything but `Body()` is."""
    return isinstance(declared, ast.Call) and last_name(declared) != "Body"


def _present(annotation: ast.expr) -> ast.expr:
    """What a body that may be left out is when it is there."""
    if isinstance(annotation, ast.BinOp):
        return annotation.left
    optional = isinstance(annotation, ast.Subscript) and last_name(annotation.value) == "Optional"
    return annotation.slice if isinstance(annotation, ast.Subscript) and optional else annotation


def _is_open(annotation: ast.expr) -> bool:
    """Mappings and lists of anything, bare or inside of `Annotated` and lists."""
    if isinstance(annotation, ast.Name):
        return annotation.id in _MAPPINGS | _LISTS
    if not isinstance(annotation, ast.Subscript) or not isinstance(annotation.value, ast.Name):
        return False
    name, inside = annotation.value.id, arguments(annotation)
    if name in _MAPPINGS:
        return ast.unparse(inside[-1]).endswith(("Any", "object"))
    if name == "Annotated":
        return _is_open(inside[0]) and not any(map(_comes_from_elsewhere, inside[1:]))
    return name in _LISTS and _is_open(inside[0])


def _validated_inside(service: Service, handler: Function) -> bool:
    """The raw body is given to a model in the function, or its signature is checked."""
    return any(_CHECKS.match(site.name) or _makes_model(service, site) for site in handler.calls)


def _makes_model(service: Service, site: CallSite) -> bool:
    """A class is called that may look at what it is given: no class of the project that is no model does."""
    made = [value.definition for value in service.resolver.targets(site) if isinstance(value, ClassValue)]
    return any(map(service.is_model, made)) if made else site.name[:1].isupper()


EXAMPLES = [
    Bad("""
        from typing import Annotated, Any
        from fastapi import Body, FastAPI, Request

        app = FastAPI()

        @app.post("/a")
        def a(body: dict):  # found
            return body

        @app.put("/b/{id}")
        def b(id: int, body: dict[str, Any]):  # found
            return body

        @app.post("/c")
        async def c(request: Request):  # found
            return await request.json()

        @app.put("/d")
        def d(names: list):  # found
            return names

        @app.post("/e")
        def e(rows: Annotated[list[dict[str, Any]], Body()]):  # found
            return rows

        @app.post("/f")
        def f(body: dict | None = None):  # found
            return body
    """),
    Good("""
        from fastapi import Depends, FastAPI, Request
        from pydantic import BaseModel

        class Body(BaseModel):
            name: str

        def current_user() -> dict:
            return {}

        app = FastAPI()

        @app.post("/a")
        def a(body: Body, user: dict = Depends(current_user)):
            return body

        @app.post("/webhooks/pay")
        async def hook(request: Request):
            return await request.json()

        @app.post("/c")
        async def c(request: Request):
            return Body.model_validate(await request.json())

        @app.post("/counts")
        def counts(body: dict[str, int]):
            return body
    """),
    Good(
        """
        from typing import Annotated, TypedDict
        import httpx
        from fastapi import Depends, FastAPI, Query

        def claims() -> dict: ...

        CLAIMS = Depends(claims)

        class Item(TypedDict):
            name: str

        app = FastAPI()

        @app.post("/a")
        async def a(user: Annotated[dict, Depends(claims)], items: dict[str, Item]):
            async with httpx.AsyncClient() as client:
                response = await client.get("https://example.org")
            return response.json()

        @app.post("/b")
        def b(item: Item, items: list[Item], extra: dict | None = None, user: dict = CLAIMS):
            return item

        @app.post("/c")
        def c(tags: list = Query(), names: Annotated[list, Query()] = ()):
            return tags
    """,
        "the mapping is a dependency's, its keys and values are declared, or the JSON is somebody else's answer",
    ),
    Good(
        """
        from fastapi import FastAPI, Request
        from pydantic import TypeAdapter
        import stripe
        from app.schemas import Order

        app = FastAPI()
        orders = TypeAdapter(list[Order])

        @app.post("/payments")
        async def paid(request: Request):
            event = stripe.Webhook.construct_event(await request.body(), request.headers["stripe-signature"], "secret")
            return event.id

        @app.post("/orders")
        async def create(request: Request):
            return orders.validate_python(await request.json())
        # file: app/schemas.py
        from pydantic import BaseModel

        class Order(BaseModel):
            name: str
    """,
        "read raw for its signature, or given to whoever validates it",
    ),
]
