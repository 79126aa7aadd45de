"""A write takes a body that nothing validates.

`body: dict` and `await request.json()` accept anything: missing keys become 500s, extra keys go into the database, texts
arrive where numbers are expected, and the OpenAPI document says nothing about the input.

Declare a Pydantic model with the fields, types and bounds that the operation takes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.inputs import bodies
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.hints import arguments
from fastness.tool.project.names.values import ClassValue, External
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import CallSite, Class, Function, constant, handed_on, last_name
from fastness.tool.project.source.walk import walk

_HOOK = re.compile(r"webhook|callback|hook|event|proxy|graphql|ingest|mcp|rpc", re.IGNORECASE)
_CHECKS = re.compile(r"model_validate|parse_obj|validate|verify|construct_event|TypeAdapter|load")
_SENDS = re.compile(r"forward|proxy|relay|gateway|dispatch_to|request_service|call_service", re.IGNORECASE)
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping"}
_LISTS = {"list", "List"}
_NO_MODEL = re.compile(r"(?:fastapi|starlette)\..*|.*(?:Error|Exception|Response)")
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
        if declared is not None and (_is_open(declared) or _has_fixed_keys(declared, parameter.arg, handler)):
            return f"{parameter.arg}: {ast.unparse(declared)}"
    for _, parameter, model in bodies.bodies(service, route):
        if (of := _of_open_fields(service, model)) is not None:
            return f"{parameter.arg}: {model.name} of {of}"
    for site in handler.calls:
        targets = service.resolver.targets(site)
        if site.name == "json" and any(isinstance(v, External) and v.path == "fastapi.Request().json" for v in targets):
            passed = _validated_inside(service, handler, site) or _is_only_sent_on(handler, site)
            return None if passed else "request.json()"
    return None


def _of_open_fields(service: Service, model: Class) -> str | None:
    """The fields of a model that says of nothing what is in it: each is an open mapping, and no validator looks at one."""
    fields = bodies.fields(service, model)
    nodes = [node for _, node in fields.values() if isinstance(node, ast.AnnAssign)]
    if not nodes or len(nodes) < len(fields) or bodies.validated(service, model):
        return None
    mappings = all(_is_open(_present(node.annotation)) and "ict" in ast.unparse(node.annotation) for node in nodes)
    return ", ".join(ast.unparse(node.target) + ": " + ast.unparse(node.annotation) for node in nodes) if mappings else None


def _is_only_sent_on(handler: Function, read: CallSite) -> bool:
    """A gateway: the body, or a copy of it with some keys set, is handed to what sends it to the service that validates it."""
    held = _held(handler, read)
    copies = {
        name
        for name, bindings in handler.bindings.items()
        if any(isinstance(b.value, ast.Dict) and None in b.value.keys and _is_of(b.value, held) for b in bindings)
    }
    if any(_part_of(node, held | copies) for node in (*handler.of(ast.Subscript), *handler.of(ast.Call)) if _is_read(node)):
        return False
    given = [site.node for site in handler.calls if any(_is_of(one, held | copies, read.node) for one in handed_on(site.node))]
    return bool(given) and all(map(_sends, given))


def _sends(call: ast.Call) -> bool:
    """By its name it forwards what it is given, or it is a call of an HTTP client with this body."""
    if last_name(call) in {"post", "put", "patch", "request"}:
        return any(keyword.arg in {"json", "data", "content"} for keyword in call.keywords)
    return _SENDS.search(last_name(call)) is not None


def _is_read(node: ast.expr) -> bool:
    return not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load)


def _is_of(node: ast.expr, names: set[str], read: ast.AST | None = None) -> bool:
    """The expression is what has one of the names, or a copy of it."""
    parts = [node, *(node.values if isinstance(node, ast.Dict) else ())]
    parts = [part.value if isinstance(part, ast.Await) else part for part in parts]
    return any(part is read or (isinstance(part, ast.Name) and part.id in names) for part in parts)


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
        return ast.unparse(inside[-1]).endswith(("Any", "object")) or _is_open(inside[-1])
    if name == "Annotated":
        return _is_open(inside[0]) and not any(map(_comes_from_elsewhere, inside[1:]))
    return name in _LISTS and _is_open(inside[0])


def _has_fixed_keys(annotation: ast.expr, name: str, handler: Function) -> bool:
    """`rows: list[dict[str, str]]`, of which `row["id"]` is read: the keys are known, and nobody asks for them."""
    if isinstance(annotation, ast.Subscript) and last_name(annotation.value) in _LISTS:
        annotation = arguments(annotation)[0]
    if not isinstance(annotation, ast.Subscript) or last_name(annotation.value) not in _MAPPINGS:
        return False
    names = {name}
    for node in handler.nodes:
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Name) and node.iter.id == name:
            names |= {node.target.id} if isinstance(node.target, ast.Name) else set()
    if any(isinstance(node, ast.Compare) and isinstance(constant(node.left), str) for node in handler.nodes):
        return False
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and isinstance(constant(node.slice), str)
        and isinstance(node.value, ast.Name)
        and node.value.id in names
        for node in handler.nodes
    )


def _validated_inside(service: Service, handler: Function, read: CallSite) -> bool:
    """The raw body is given to a model, here or in what is called next, or its signature is checked."""
    held = _held(handler, read)
    held |= {name for name, bindings in handler.bindings.items() if any(_part_of(b.value, held) for b in bindings)}
    if any(_CHECKS.match(site.name) or _makes_model(service, site, held, read.node) for site in handler.calls):
        return True
    for edge in service.graph.edges(handler):
        if _is_given(edge.site.node, held, read.node):
            names = {parameter.arg for parameter, _ in edge.target.parameters} - {"self", "cls"}
            if any(_CHECKS.match(site.name) or _makes_model(service, site, names) for site in edge.target.calls):
                return True
    return False


def _held(handler: Function, read: CallSite) -> set[str]:
    """The names that the raw body is given."""
    return {
        name for name, bindings in handler.bindings.items() if any(b.value and read.node in walk(b.value) for b in bindings)
    }


def _part_of(value: ast.expr | None, held: set[str]) -> bool:
    """`data["name"]`, `data.get("name")`."""
    while isinstance(value, ast.Subscript | ast.Attribute | ast.Call | ast.BoolOp):
        if isinstance(value, ast.Call) and last_name(value) not in {"get", "pop"}:
            return False
        value = value.values[0] if isinstance(value, ast.BoolOp) else value.func if isinstance(value, ast.Call) else value.value
    return isinstance(value, ast.Name) and value.id in held


def _is_given(call: ast.Call, held: set[str], read: ast.AST | None = None) -> bool:
    inside = (inner for passed in handed_on(call) for inner in walk(passed))
    return any(inner is read or (isinstance(inner, ast.Name) and inner.id in held) for inner in inside)


def _makes_model(service: Service, site: CallSite, held: set[str], read: ast.AST | None = None) -> bool:
    """A class is given the body that may look at it: no answer, no exception, no class of the project that is no model does."""
    if not _is_given(site.node, held, read):
        return False
    targets = service.resolver.targets(site)
    made = [value.definition for value in targets if isinstance(value, ClassValue)]
    paths = [value.path for value in targets if isinstance(value, External)]
    if made:
        return any(map(service.is_model, made))
    return site.name[:1].isupper() and not any(map(_NO_MODEL.fullmatch, paths or [site.name]))


EXAMPLES = [
    Bad("""
        from typing import Annotated, Any
        from fastapi import Body, FastAPI, Request
        from pydantic import BaseModel
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
        class Anything(BaseModel):
            values: dict[str, Any]
            extra: dict | None = None
        @app.post("/g")
        def g(anything: Anything):  # found
            return anything.values
        @app.post("/h")
        def h(configs: dict[str, dict[str, Any]]):  # found
            return configs
    """),
    Bad("""
        from fastapi import FastAPI, HTTPException, Request
        from fastapi.responses import JSONResponse
        from pydantic import BaseModel
        from app.work import run
        app = FastAPI()
        class Answer(BaseModel):
            text: str
        @app.post("/a")
        async def a(request: Request):  # found
            given = await request.json()
            if not given["prompt"]:
                raise HTTPException(422, given["prompt"])
            return JSONResponse(run(given))
        @app.post("/b")
        async def b(request: Request):  # found
            given = await request.json()
            made = run(given)
            return Answer(text=made)
        @app.post("/rows")
        def rows(rows: list[dict[str, str]]):  # found
            return [row["id"] for row in rows]
    """),
    Good(
        """
        from fastapi import FastAPI, Request
        from pydantic import BaseModel

        app = FastAPI()

        class Order(BaseModel):
            name: str

        def made_of(given):
            return Order(**given)

        @app.post("/a")
        async def a(request: Request):
            given = await request.json()
            return made_of(given)

        @app.post("/b")
        async def b(request: Request):
            given = await request.json()
            name = given.get("name")
            return Order(name=name)

        @app.post("/labels")
        def labels(labels: dict[str, str]):
            return [f"{key}={value}" for key, value in labels.items()]

        @app.post("/moves")
        def moves(body: dict[str, int]):
            return body["from"] if "from" in body else 0
    """,
        "a model is made of it one call away, or of its parts, and mappings with any keys, or of which each is asked for",
    ),
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
    Good(
        """
        from typing import Any
        from fastapi import FastAPI, Request
        from pydantic import BaseModel
        from app.gateway import gateway

        class Note(BaseModel):
            title: str
            extra: dict[str, Any] = {}

        app = FastAPI()

        @app.post("/orders")
        async def order(request: Request):
            given = await request.json()
            signed = {**given, "by": request.state.user}
            return await gateway.forward_request("orders", request, body=signed)

        @app.post("/notes")
        def note(note: Note):
            return note.title

        @app.post("/labels")
        def labels(labels: dict[str, dict[str, str]]):
            return list(labels)
        """,
        "a gateway sends it to the service that validates it, and a part of a body may be open",
    ),
]
