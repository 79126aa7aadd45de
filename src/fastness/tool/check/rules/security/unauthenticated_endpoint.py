"""One endpoint is open where its siblings are guarded.

Most of this router's operations ask who is calling, and this one does not. That is how a new endpoint leaks: it was copied,
the guard was forgotten, every test passes.

Put the guard on the router, so that a new endpoint has it; make what is public say so, in a router of its own. When the app
is booted, the dependencies that its routes really have decide.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from fastness.tool.check.knowledge import guards
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.resolve import own_nodes
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import Function, last_name
from fastness.tool.project.walk import walk

_PUBLIC = re.compile(
    r"login|logout|sign|regist(?:er|ration)?(?:$|[\W_])|captcha|marketplace|token|refresh|password|verify|confirm|activate|callback|webhook|health|status|public|otp|oauth|auth"
    r"|magic|invite|invitation|docs|openapi|metrics|csrf|session|unsubscribe|contact|newsletter|subscribe|ping|version|^/?$|reset"
    r"|recover|sso|google|facebook|github|twitter|config|slack|discord|test|static|\.well-known|ready|email|schema|logo|icon|favicon",
    re.IGNORECASE,
)
# What speaks of persons and money is no public content, even where other reads are.
_PERSONAL = re.compile(
    r"(?<![a-z])(?:user(?!name)|member|account|customer|client|patient|employee|staff|admin|payment|invoice|order|transaction"
    r"|notification|message|logs?\b|audit|export|report|contract|document)",
    re.IGNORECASE,
)
_MOST = 0.8
_SHARE = 0.5  # of the siblings that are guarded
_FEWEST = 2


@rule(severity=Severity.WARNING, practice="6.1", help="guard the router, and put what is public in a router of its own")
def check(service: Service, served: Served | None) -> Iterator[Found]:
    siblings: dict[Module, list[Route]] = defaultdict(list)
    for route in service.routes:
        if not route.handler.module.is_test and not route.is_websocket:
            siblings[route.handler.module].append(route)
    if any(guards.names_guard(service, m.cls) for m in service.middleware if m.cls is not None):
        return  # everything is guarded, or exempt, in one place
    if served is not None and any(
        guards.is_guard_name(m.name.rpartition(".")[2]) for a in served.app.apps for m in a.middleware
    ):
        return
    says_who = any(guards.is_starlettes(service, m.cls) for m in service.middleware if m.cls is not None)
    for routes in siblings.values():
        protected = {route for route in routes if guards.guards(service, route, served)}
        if served is None and not says_who:
            verified = {route for route in protected if not guards.only_wants_header(service, route)}
            protected = verified if len(verified) / len(routes) >= _MOST else protected
        for route in routes if len(protected) >= _FEWEST else ():
            like = routes if len(protected) / len(routes) >= _SHARE else [one for one in routes if one.writes]
            guarded = [one for one in like if one in protected]
            if route in protected or route not in like or len(guarded) < _FEWEST or len(guarded) / len(like) < _SHARE:
                continue
            if _PUBLIC.search(f"{route.path} {route.handler.name}") or _gives_nothing(route.handler):
                continue
            if _is_public_content(route, guarded):
                continue
            lacks = "looks at no token, only for one" if guards.only_wants_header(service, route) else "asks for no credentials"
            message = (
                f"{'/'.join(sorted(route.methods))} {route.path} ({route.handler.qualified}) {lacks}; "
                f"{len(guarded)} of its {len(like) - 1} siblings do"
            )
            example = guarded[0]
            yield found(
                route.handler,
                route.handler.node,
                message,
                proof(example.handler, example.handler.node, "a guarded sibling"),
                source="boot" if served is not None and served.routes(route.handler) else None,
            )


def _is_public_content(route: Route, guarded: list[Route]) -> bool:
    """It only reads, and so does none of its guarded siblings: everybody may read what some may write."""
    reads = route.methods <= {"GET", "HEAD"}
    return reads and not _PERSONAL.search(f"{route.path} {route.handler.name}") and not any("GET" in g.methods for g in guarded)


def _gives_nothing(handler: Function) -> bool:
    """It takes nothing and returns a literal, or a response made of one: there is nothing to guard."""
    names = {
        name
        for node in own_nodes(handler, ast.Return)
        for part in (walk(node.value) if node.value is not None else ())
        if (name := last_name(part) if isinstance(part, ast.Call) else part.id if isinstance(part, ast.Name) else None)
    }
    return all(name.endswith("Response") or name == "status" for name in names) and not any(True for _ in handler.parameters)


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, Depends

        router = APIRouter()

        def current_user(): ...

        @router.get("/items")
        def items(user=Depends(current_user)): ...

        @router.post("/items")
        def create(user=Depends(current_user)): ...

        def load(): ...

        @router.get("/items/all")
        def everything():  # found
            return load()
    """),
    Bad("""
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.responses import JSONResponse
        from starlette.middleware.authentication import AuthenticationMiddleware

        app = FastAPI()
        app.add_middleware(AuthenticationMiddleware)
        router = APIRouter()

        def current_user(): ...

        def load(): ...

        @router.get("/items")
        def items():
            return load()

        @router.get("/items/new")
        def new():
            return load()

        @router.get("/items/{id}")
        def one(id: int):
            return load()

        @router.post("/items")
        def create(user=Depends(current_user)): ...

        @router.put("/items/{id}")
        def change(id: int, user=Depends(current_user)): ...

        @router.delete("/items/{id}")
        def delete(id: int):  # found
            load()

        @router.patch("/items/{id}")
        def price(id: int, user=Depends(current_user)): ...

        @router.post("/users")
        def register_user(name: str):
            load()

        @router.post("/items/all")
        def gone():
            return JSONResponse(status_code=410, content={"detail": "gone"})
    """),
    Bad("""
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer
        from fastapi_jwt_auth import AuthJWT

        router = APIRouter(dependencies=[Depends(HTTPBearer())])

        def load(): ...

        @router.get("/orders")
        def orders(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/items")
        def items(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/prices")
        def prices(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/refunds")
        def refunds(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/reports")
        def reports():  # found
            return load()
    """),
    Bad(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        app = FastAPI()
        router = APIRouter()

        def guarded():
            return [Depends(bearer)]

        @router.get("/a", dependencies=guarded())
        def a() -> int: ...

        @router.get("/b", dependencies=guarded())
        def b() -> int: ...

        @router.delete("/c/{number}")
        def c(number: int) -> int:  # found
            return number

        app.include_router(router)
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        app = FastAPI()
        router = APIRouter()

        @router.get("/a", dependencies=[Depends(bearer)])
        def a() -> int: ...

        @router.get("/b", dependencies=[Depends(bearer)])
        def b() -> int: ...

        @router.delete("/c/{number}")
        def c(number: int) -> int:
            return number

        for included, options in ((router, {"dependencies": [Depends(bearer)]}),):
            app.include_router(included, **options)
    """,
        "the booted route has the guard that the sources do not show",
        booted=True,
    ),
    Good("""
        from typing import Annotated
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        router = APIRouter(dependencies=[Depends(bearer)])
        mixed = APIRouter()

        def current_user(): ...

        class Common:
            def __init__(self, user=Depends(current_user)): ...

        @router.get("/items")
        def items(): ...

        @mixed.get("/a")
        def a(common: Annotated[Common, Depends()]): ...

        @mixed.get("/b", dependencies=[Depends(current_user)])
        def b(): ...

        @mixed.post("/login")
        def login(name: str):
            return name

        @mixed.get("/motd")
        def motd():
            return {"message": "hello"}

        app = FastAPI()
        app.include_router(router)
    """),
    Good(
        """
        from fastapi import APIRouter, Depends

        router = APIRouter()

        def current_user(): ...

        def load(): ...

        @router.get("/{username}/posts")
        def posts():
            return load()

        @router.post("/posts")
        def create(user=Depends(current_user)): ...

        @router.delete("/posts/{id}")
        def delete(id: int, user=Depends(current_user)): ...
    """,
        "what only some may write, everybody may read",
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, HTTPException

        router = APIRouter()

        def current_user(): ...

        def is_known(request): ...

        @router.get("/users")
        def users(user=Depends(current_user)): ...

        @router.post("/users")
        def create(user=Depends(current_user)): ...

        @router.get("/users/export")
        def export(request):
            if not is_known(request):
                raise HTTPException(status_code=401)
            return users()
    """,
        "the endpoint refuses strangers itself",
    ),
    Good(
        """
        from typing import Annotated
        from fastapi import APIRouter, Depends, Header

        router = APIRouter()

        def current_user(): ...

        def find(number, key): ...

        @router.get("/payments")
        def payments(user=Depends(current_user)): ...

        @router.post("/payments")
        def pay(user=Depends(current_user)): ...

        @router.get("/payments/{number}")
        def payment(number: int, x_api_key: str | None = Header(None)):
            return find(number, x_api_key)

        @router.get("/payments/{number}/status")
        def state(number: int, authorization: Annotated[str | None, Header()] = None):
            return find(number, authorization)
    """,
        "it takes the key itself, and shows strangers less",
    ),
]
