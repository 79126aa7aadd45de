"""A client decides how much the service works.

`limit: int = 100` is a default, not a bound: `?limit=10000000` loads the table into memory and holds a connection while
it does. A list in a body, of which each element is a query or a call, a number of repetitions, and a text that a language model
is asked are the same on a write. A password of any length is cut or refused with an error of its own by what hashes it.

Give the bound to the parameter or the field: `limit: Annotated[int, Query(ge=1, le=100)] = 20`, `Field(max_length=50)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from fastness.tool.check.knowledge.inputs import decided, pages
from fastness.tool.check.repair import Edit, Repair, argument_added, function_at, imported, is_written, replaced, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, position, proof, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Function, Scope


@rule(
    severity=Severity.WARNING,
    practice="3.3",
    fix=Fix.SAFE,
    help="bound it where it is declared: `Annotated[int, Query(ge=1, le=100)]`",
)
def check(service: Service) -> Iterator[Found]:
    reported: dict[Function | Class, tuple[ast.AST, str, Function, int]] = {}
    for route in service.routes:
        if "GET" not in route.methods or route.handler.module.is_test:
            continue
        for reader, node, name in _read(service, route):
            _, _, first, count = reported.get(reader, (node, name, route.handler, 0))
            reported[reader] = (node, name, first, count + 1)
    for reader, (node, name, handler, count) in reported.items():
        at = reader.node if isinstance(reader, Function) else node
        evidence = [proof(reader, node, "declared here")] if at is not node else []
        evidence += [proof(handler, handler.node, "used by this endpoint")] if handler is not reader else []
        yield found(reader, at, f"{name} of {reader.qualified} has no upper bound", *evidence, count=count)
    yield from _of_writes(service)


def _read(service: Service, route: Route) -> Iterator[tuple[Function | Class, ast.AST, str]]:
    """What the endpoint, a dependency or a model of query parameters reads without a bound: the first of each."""
    functions = [route.handler, *(d.target for d in service.tree(route) if isinstance(d.target, Function))]
    classes = [d.target for d in service.tree(route) if isinstance(d.target, Class)]
    made = {one: service.resolver.method(one, "__init__") for one in classes}
    models = [one for one in classes if made[one] is None]
    for function in (*functions, *filter(None, made.values())):
        for parameter in pages.parameters(service, function, route.path or ""):
            yield function, parameter, parameter.arg
            break
        models += pages.models(service, function)
    for owner, node in (pair for model in dict.fromkeys(models) for pair in islice(pages.fields_of(service, model), 1)):
        yield owner, node, ast.unparse(node.target)


def _of_writes(service: Service) -> Iterator[Found]:
    """What the bodies of writes decide the amount of: one finding per model, and one for all passwords."""
    causes: dict[object, dict[ast.AST, decided.Part]] = {}
    for part in decided.parts(service):
        cause = decided.HASHED if part.use.kind == decided.HASHED else part.holder
        causes.setdefault(cause, {}).setdefault(part.node, part)
    for by, of_cause in causes.items():
        # In a model the first field stands for all; the passwords of several are told in the order of their endpoints.
        told = list(of_cause.values())
        first, *others = told if by == decided.HASHED else sorted(told, key=lambda part: position(part.node))
        evidence = [proof(first.use.function, first.use.node, first.work)]
        evidence += [proof(other.holder, other.node, f"{other.name} of {other.holder.qualified} too") for other in others]
        message = f"{first.name} of {first.holder.qualified} has no upper bound"
        yield found(first.holder, first.node, message, *evidence, count=1 + len(others))


def fix(service: Service, finding: Finding) -> Repair | None:
    """Bound every such parameter of the function, or this field of the model, by 100, or by its default where that is more."""
    function = function_at(service, finding)
    if function is None:
        return _fix_field(service, finding)
    edits: list[Edit] = []
    defaults = dict(function.parameters)
    for parameter in pages.parameters(service, function, ""):
        one = _bounded(service, function.parent, parameter.annotation, defaults[parameter], ("fastapi", "Query"))
        if one is None:
            return None
        edits += one
    return Repair(tuple(edits)) if edits else None


def _fix_field(service: Service, finding: Finding) -> Repair | None:
    for model in service.project.modules[finding.path].classes:
        for owner, node in pages.fields_of(service, model):
            if owner is model and node.lineno == finding.line:
                edits = _bounded(service, owner, node.annotation, node.value, ("pydantic", "Field"))
                return Repair(edits) if edits is not None else None
    return None


def _bounded(
    service: Service, scope: Scope, annotation: ast.expr | None, default: ast.expr | None, by: tuple[str, str]
) -> tuple[Edit, ...] | None:
    module = module_of(scope)
    fields = [(n, module_of(s)) for n, s in literals.metadata(service.resolver, annotation, scope)]
    fields += [(default, module)] if isinstance(default, ast.Call) else []
    declared = [(n, m) for n, m in fields if isinstance(n, ast.Call) and service.resolver.paths(n.func, scope) & pages.FIELDS]
    usual = literals.default(service.resolver, default, scope) if default is not None else None
    for node, _ in declared:
        usual = node.args[0] if node.args and usual in (None, default) else usual
    value = usual.value if isinstance(usual, ast.Constant) else None
    if usual is not None and not (value is None or value is ... or isinstance(value, int)):
        return None
    if usual is not None and not isinstance(usual, ast.Constant):
        return None  # what its default is, a bound must not be less than
    bound = f"le={max(100, value if isinstance(value, int) else 0)}"
    if declared:
        node, holder = declared[0]
        return (argument_added(holder, node, bound),) if is_written(holder, node) else None
    annotated, declaring = imported(module, "typing", "Annotated"), imported(module, *by)
    if annotation is None or not is_written(module, annotation) or annotated is None or declaring is None:
        return None
    text = f"{annotated[0]}[{text_of(module, annotation)}, {declaring[0]}({bound})]"
    return (replaced(module, annotation, text), *annotated[1], *declaring[1])


EXAMPLES = [
    Bad("""
        from typing import Annotated
        from fastapi import Depends, FastAPI, Query

        app = FastAPI()

        @app.get("/a")
        def a(skip: int = 0, limit: int = 100):  # found
            return limit

        @app.get("/b")
        def b(limit: Annotated[int, Query(ge=1)] = 10):  # found
            return limit

        def page(page_size: int = Query(10, ge=1)):  # found
            return page_size

        @app.get("/c")
        def c(size=Depends(page)):
            return size
    """),
    Bad("""
        from dataclasses import dataclass
        from typing import Annotated
        from fastapi import Depends, FastAPI, Query
        from pydantic import BaseModel, Field

        app = FastAPI()

        class Page(BaseModel):
            skip: int = 0
            limit: Annotated[int, Field(ge=1)] = 20  # found

        @dataclass
        class Slice:
            size: int = 500  # found

        class Window:
            def __init__(self, per_page: int = 20):  # found
                self.per_page = per_page

        class Found(BaseModel):
            count: int

        @app.get("/a")
        def a(page: Annotated[Page, Query()]):
            return page.limit

        @app.get("/b")
        def b(page: Annotated[Slice, Depends()], window: Window = Depends()) -> Found:
            return Found(count=page.size + window.per_page)
    """),
    Bad(
        """
        # file: app/main.py
        import asyncio
        from typing import Optional
        import httpx
        from fastapi import Body, Depends, FastAPI
        from openai import AsyncOpenAI
        from passlib.context import CryptContext
        from pydantic import BaseModel, Field
        from app.work import answer, search_all
        app = FastAPI()
        client = AsyncOpenAI()
        hashing = CryptContext(schemes=["argon2"])
        class Search(BaseModel):
            queries: list[str] = Field(..., min_length=1)  # found
            region: str
        @app.post("/searches")
        def search(body: Search):
            return search_all(body.queries)
        class Chat(BaseModel):
            prompt: str  # found
            user: str
            patience: float | None = None
            n: int = 1
        @app.post("/chats")
        async def chat(body: Chat):
            if body.n < 1:
                raise ValueError("n")
            await asyncio.sleep(body.patience)
            messages = [{"role": "user", "content": body.prompt}]
            first = await client.chat.completions.create(messages=messages, user=body.user)
            return first, await asyncio.gather(*(answer() for _ in range(body.n)))
        class Item(BaseModel):
            name: str
        @app.post("/items")
        async def create(items: list[Item]):  # found
            names = [item.name for item in items]
            async with httpx.AsyncClient() as http:
                return [await http.put(f"https://example.org/{name}") for name in names]
        class Login(BaseModel):
            name: str
            password: str  # found
        class Plan(BaseModel):
            goal: str  # found
        def planned(plan: Plan = Body()) -> Plan:
            return plan
        @app.post("/plans")
        async def make_plan(plan: Plan = Depends(planned)):
            return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": plan.goal}])
        class Change(BaseModel):
            new_password: str
        @app.post("/login")
        def login(login: Login):
            return hashing.verify(login.password, "")
        @app.post("/change")
        def change(change: Change):
            return hashing.hash(change.new_password)
        @app.get("/pages")
        def pages(n: Optional[int] = 5):  # found
            return n
        # file: app/work.py
        import requests
        def search_all(queries):
            return [ask(query) for query in queries]
        def ask(query):
            return requests.get("https://example.org", params={"q": query}, timeout=3)
        async def answer(): ...
    """,
        by_hand=5,
    ),
    Good(
        """
        from typing import Annotated
        import httpx
        from annotated_types import MaxLen
        from fastapi import FastAPI, HTTPException, UploadFile
        from passlib.context import CryptContext
        from pydantic import BaseModel, Field, field_validator

        app = FastAPI()
        hashing = CryptContext(schemes=["argon2"])

        class Search(BaseModel):
            queries: list[str] = Field(max_length=20)
            pairs: Annotated[list[str], MaxLen(20)]
            names: list[str]
            tags: list[str]
            pages: int
            prompt: str

            @field_validator("tags")
            def few(cls, value): ...

        @app.post("/searches")
        def search(body: Search):
            if not 0 < len(body.names) <= 20:
                raise HTTPException(422)
            for one in [*body.queries]:
                print(one)
            for name in body.names:
                httpx.get("https://example.org", params={"q": name})
            for query in body.queries:
                httpx.get("https://example.org", params={"q": query})
            for pair in body.pairs:
                httpx.get("https://example.org", params={"q": pair})
            for tag in body.tags:
                httpx.get("https://example.org", params={"q": tag})
            for page in range(min(body.pages, 10)):
                httpx.get("https://example.org", params={"page": page})
            return [name.upper() for name in body.names], body.prompt

        async def plain(text):
            return text.strip()

        @app.post("/files")
        async def store(files: list[UploadFile], labels: list[str]):
            return [await file.read(100) for file in files], [await plain(label) for label in labels]

        class Login(BaseModel):
            password: Annotated[str, Field(max_length=72)]

        class Mailbox(BaseModel):
            host: str
            password: str

        @app.post("/login")
        def login(login: Login, mailbox: Mailbox):
            return hashing.verify(login.password, "")
    """,
        "bounded where they are declared, measured or cut before the work, not worked on for each, or a password of elsewhere",
    ),
    Good("""
        from typing import Annotated
        from fastapi import FastAPI, Query

        app = FastAPI()
        Limit = Annotated[int, Query(ge=1, le=100)]

        @app.get("/a")
        def a(limit: Annotated[int, Query(le=100)] = 10, size: Limit = 5):
            return limit

        @app.get("/b")
        def b(limit: int = Query(10, lt=100)):
            return limit

        @app.get("/c")
        def c(limit: int = 10):
            return min(limit, 100)

        @app.get("/d")
        def d(limit: str = "daily"):
            return limit

        def internal(limit: int = 100):
            return limit
    """),
    Good(
        """
        # file: app/main.py
        from typing import Annotated, Literal
        from fastapi import Depends, FastAPI, Query
        from pydantic import BaseModel, Field, conint, field_validator
        from app.paging import PageSize

        app = FastAPI()

        class Page:
            def __init__(self, size: int = Query(20, ge=1, le=100)):
                self.size = size

        @app.get("/a")
        def a(limit: Literal[10, 20, 50] = 10):
            return limit

        @app.get("/b")
        def b(page: Page = Depends()):
            return page.size

        class Checked(BaseModel):
            limit: int = 20
            size: Annotated[int, Field(le=100)] = 20

            @field_validator("limit")
            def limited(cls, value):
                return min(value, 100)

        @app.get("/d")
        def d(page: Annotated[Checked, Query()]):
            return page.limit

        @app.get("/c")
        def c(limit: conint(ge=1, le=100) = 20, page_size: Annotated[int, Field(lt=50)] = 20, size: PageSize = 20):
            return limit
        # file: app/paging.py
        from typing import Annotated
        from fastapi import Query

        PageSize = Annotated[int, Query(le=200)]
    """,
        "bounded by its type, in a dependency's constructor, by a model's validator, or by an alias of another file",
    ),
    Good(
        """
        from fastapi import FastAPI, HTTPException

        app = FastAPI()
        MOST = 100

        @app.get("/a")
        def a(limit: int = 10):
            if limit > MOST:
                raise HTTPException(422)
            return limit

        @app.get("/b")
        def b(per_page: int = 10):
            per_page = max(1, min(per_page, MOST))
            return per_page

        @app.get("/c/{count}")
        def c(count: int):
            return count

        @app.post("/orders")
        def order(count: int):
            return count
    """,
        "refused or cut before it is used; a part of the path, and the body of a write, are no page sizes",
    ),
]
